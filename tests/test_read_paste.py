"""What people paste: what is read of it, what is left out with a word, and what is refused."""

import numpy as np
import pytest
from samples import from_text

from smcli.errors import InputError

TORCH = "torch's default for a tensor without dtype"
NUMPY = "NumPy's default for an array without dtype"

# text: rows, what is left out
READ = {
    "x = torch.tensor([[1., 2.], [3., 4.]])": ([[1, 2], [3, 4]], ["x ="]),
    "X=[1,2]": ([[1, 2]], ["X="]),
    "a = np.array([1., 2.])": ([[1, 2]], ["a ="]),
    "m: torch.Tensor = torch.tensor([1., 2.])": ([[1, 2]], ["m: torch.Tensor ="]),
    "logits: [1, 2, 3]": ([[1, 2, 3]], ["logits:"]),
    "logits: 1.0, 2.0": ([[1, 2]], ["logits:"]),
    "x =\n\n   1   2   3\n": ([[1, 2, 3]], ["x ="]),
    "x <- c(1, -Inf)": ([[1, -np.inf]], ["x <-"]),
    "logits -> [1, 2]": ([[1, 2]], ["logits ->"]),
    "The logits are [1, 2].": ([[1, 2]], ["The logits are"]),
    "step 1200 loss nan logits: [1, 2, 3]": ([[1, 2, 3]], ["step 1200 loss nan logits:"]),
    "12:00 [INFO] (3/4) x[0] forward(3) l [1, 2]": ([[1, 2]], ["12:00 [INFO] (3/4) x[0] forward(3) l"]),
    "Label logits squeezed tensor([[-1.5, 2]], device='cuda:0', grad_fn=<SqueezeBackward1>)": (
        [[-1.5, 2]], ["Label logits squeezed"],
    ),
    "step 1 logits: [1, 2]\nstep 2 logits: [3, 4]": ([[1, 2], [3, 4]], ["step 1 logits:", "step 2 logits:"]),
    "Epoch 1\nlogits: [1, 2]\ndone": ([[1, 2]], ["Epoch 1", "logits:", "done"]),
    ">>> np.array([1., 2.])": ([[1, 2]], [">>>"]),
    ">>> x = np.array([1.,\n...               2.])\n": ([[1, 2]], [">>>", "x ="]),
    "ipdb> logits\ntensor([1., 2.])": ([[1, 2]], ["ipdb>", "logits"]),
    "In [3]: x\nOut[3]: array([1., 2.])": ([[1, 2]], ["In [3]:", "Out[3]:", "x"]),
    "(gdb) p x\n$1 = {1, 2}": ([[1, 2]], ["(gdb)", "p x", "$1 ="]),
    "(Pdb) p logits\ntensor([1., 2.])": ([[1, 2]], ["(Pdb)", "p logits"]),
    "# logits of step 12\n1 2 3": ([[1, 2, 3]], ["# logits of step 12"]),
    "0.1 # a\n0.2 # b": ([[0.1, 0.2]], ["# a", "# b"]),
    "[1.0, // a\n2.0]": ([[1, 2]], ["// a"]),
    "float z[2] = {1.0f\n  ,2.0f};": ([[1, 2]], ["float z[2] ="]),
    "double z[2][2] = {{1, 2}, {3, 4}}; // c": ([[1, 2], [3, 4]], ["// c", "double z[2][2] ="]),
    "let x = vec![1.0, 2.0];": ([[1, 2]], ["let x ="]),
    "\n[[1. 2.]]\n<NDArray 1x2 @cpu(0)>": ([[1, 2]], ["<NDArray 1x2 @cpu(0)>"]),
    "3-element Vector{Float32}:\n 1.0\n 2.0\n 3.0": ([[1, 2, 3]], ["3-element Vector{Float32}:"]),
    ", [1, 2]": ([[1, 2]], [","]),
    ", 1, 2": ([[1, 2]], [","]),
    "| [1, 2] |": ([[1, 2]], []),
    "```\n[1, 2]\n```": ([[1, 2]], []),
    "c(1, 2)": ([[1, 2]], []),
    "Float32[1.0, 2.0]": ([[1, 2]], []),
    "DeviceArray([1., 2.], dtype=float32)": ([[1, 2]], []),
    "Tensor(shape=[2], dtype=float32, place=Place(cpu),\n       [1., 2.])": ([[1, 2]], []),
    "[1.0, float('inf')]": ([[1, np.inf]], []),
    "[float('-inf'), -float(\"inf\"), -np.inf, math.inf, np.NINF]".replace(", np.NINF", ""): ([[-np.inf] * 3 + [np.inf]], []),
    "[-INFINITY, Inf, NaN]": ([[-np.inf, np.inf, np.nan]], []),
    "[-1000]*3": ([[-1000] * 3], []),
    "2*[1, 2]": ([[1, 2, 1, 2]], []),
    "[0]*2 + [1.5]": ([[0, 0, 1.5]], []),
    "[[1, 2]]*2": ([[1, 2], [1, 2]], []),
    "[[0]*2, [1]*2]": ([[0, 0], [1, 1]], []),
    "torch.tensor([-1e9]*2 + [0.])": ([[-1e9, -1e9, 0]], []),
    "[1 2 3; 4 5 6]": ([[1, 2, 3], [4, 5, 6]], []),
    "[1, 2; 3, 4;]": ([[1, 2], [3, 4]], []),
    "[1; 2; 3]": ([[1, 2, 3]], []),
    "{'loss': tensor(0.5), 'logits': tensor([[1., 2.]])}": ([[1, 2]], ["loss"]),
    "Output(loss=None, logits=tensor([[0.1, 0.2]], grad_fn=<A>), hidden_states=None)": (
        [[0.1, 0.2]], ["loss", "hidden_states"],
    ),
    "logits=tensor([[1., 2.]]), loss=None": ([[1, 2]], ["logits=", "loss=None"]),
    "x = [3, 4]\nlogits = [1, 2]": ([[1, 2]], ["x =", "logits =", "[3, 4]"]),
}  # fmt: skip

SEPARATORS = [  # none of these leaves a doubt
    ("1, 2, 3", [1, 2, 3]), ("1,2,3", [1, 2, 3]), ("1 2 3", [1, 2, 3]), ("1;2;3", [1, 2, 3]), ("1 , 2 , 3", [1, 2, 3]),
    ("0 0 0", [0, 0, 0]), ("100,200,300", [100, 200, 300]), ("0.000,1", [0, 1]), ("  1.50,-12.25, 3.25", [1.5, -12.25, 3.25]),
    ("1,2,3,", [1, 2, 3]), ("1e3,05.5", [1000, 5.5]), ("0,-0,+0", [0, 0, 0]),
]  # fmt: skip

REFUSED = {
    "1,000 2,000": "comma", "1,5 2,5": "comma", "1,5;2,5": "comma", "1,000,000\n12,345": "'000' begins with a 0",
    "[1,000 2,000]": "comma", "1,5, 2,5": "commas with and without a space", "1,234.5, 2,345.6": "commas with and without",
    "1 000 2 000": "'000' begins with a 0", "007 1": "'007' begins with a 0", "1;2 3": "semicolons and spaces",
    "1 2,": "commas and spaces",
    ",1": "an element is empty, x:1:1",
    "[1, None, 2]": "logit 1 of row 0: data is missing, the text says 'None', x:1:5",
    "[1, 2]\n[null, 3]": "logit 0 of row 1: data is missing, the text says 'null', x:2:2",
    "1 NA": "logit 1 of row 0: data is missing, the text says 'NA', x:1:3",
    "tensor([[1., 2.],\n        ...,\n        [3., 4.]])": "data is missing, the text says '...', x:2:9",
    ">>> x = torch.tensor([1., 2.])\n>>> x.softmax(0)\ntensor([0., 1.])": "2 lists ('x', one without a name)",
    "x = [1, 2]\ny = [3, 4]": "2 lists ('x', 'y'), which are the logits?, x:2:5",
    "(tensor([1., 2.]), tensor([3., 4.]))": "2 arrays: the second is neither rows of logits nor one target for each row",
    "tensor([1., 2.])\ntensor([3, 4])": "2 arrays",
    "(tensor([[1., 2.]]), tensor([0, 1]))": "2 arrays",
    "[1.5, 2.5]\n[0]": "2 arrays",
    "{'a': [1, 2]}": "no logits among the keys 'a', x:1:1",
    "{'logits': [[1, 2], [3, 4]], 'labels': [0]}": "1 target for 2 rows",
    "{'logits': [1, 2], 'target': 0.5}": "the targets are not integers",
    "softmax(tensor([1., 2.]))": "would have to be computed",
    "softmax(tensor([1., 2.])) = tensor([0.27, 0.73])": "stands beside brackets",
    "tensor([1., 2.])[0]": "stands directly behind a bracket",
    "tensor([1., 2.]).reshape(2, 1)": "'.reshape(2, 1)' stands behind the numbers",
    "1.0 - [1, 2]": "stands beside brackets", "[1, 2] / 10": "'/' stands beside brackets", "[np.inf*2]": "'np.inf*2' is not a number",
    "[np.log(2), 1]": "'np.log(2)' would have to be computed, x:1:2",
}  # fmt: skip

FORMATS = {
    "array([114.23], dtype=float32)": ("float32", "dtype=float32 in the text"),
    "tensor([1., 2.])": ("float32", TORCH),
    "tensor([1., 2.], dtype=torch.bfloat16)": ("bfloat16", "dtype=torch.bfloat16 in the text"),
    "tensor([1., 2.], device='cuda:0', dtype=torch.float16, requires_grad=True)": (
        "float16",
        "dtype=torch.float16 in the text",
    ),
    "tensor(1., dtype=torch.float64)": ("float64", "dtype=torch.float64 in the text"),
    "tf.constant([1., 2.])": ("float32", "TensorFlow's default for a tensor without dtype"),
    "<tf.Tensor: shape=(1,), dtype=float16, numpy=array([1.], dtype=float16)>": (
        "float16",
        "dtype=float16 in the text",
    ),
    "<tf.Tensor: shape=(), dtype=float16, numpy=1.0>": ("float16", "dtype=float16 in the text"),
    "jnp.array([1., 2.])": ("float32", "JAX's default for an array without dtype"),
    "Array([1., 2.], dtype=float8_e4m3fn)": ("float8_e4m3fn", "dtype=float8_e4m3fn in the text"),
    "array([1., 2.])": ("float64", NUMPY),
    "np.array([1., 2.], np.float16)": ("float16", "dtype=np.float16 in the text"),
    "np.array([1., 2.], dtype='<f4')": ("float32", "dtype=<f4 in the text"),
    "np.array([1., 2.], dtype=float)": ("float64", "dtype=float in the text"),
    "torch.tensor([1., 2.], dtype=torch.float)": ("float32", "dtype=torch.float in the text"),
    "array([1, 2])": (None, ""),
    "array([1, 2], dtype=int32)": (None, ""),
    "[1., 2.]": (None, ""),
    "1 2": (None, ""),
    "c(1, 2)": (None, ""),
    "{1.0f, 2.0f}": ("float32", "the f behind the numbers"),
    "1.0f 2.0f": ("float32", "the f behind the numbers"),
    "Float16[1.0, 2.0]": ("float16", "Float16 in the text"),
    "2-element Vector{Float64}:\n 1.0\n 2.0": ("float64", "Float64 in the text"),
    "torch.HalfTensor([1, 2])": ("float16", "HalfTensor in the text"),
    "[np.float32(1.5), np.float32(2.5)]": ("float32", "float32 in the text"),
    "np.array([1., 2.]).astype(np.float16)": ("float16", ".astype(np.float16) in the text"),
    "tensor([1., 2.]).cuda().half()": ("float16", ".half() in the text"),
    "tensor([1., 2.]).to('cuda', torch.bfloat16).cpu()": ("bfloat16", ".to('cuda', torch.bfloat16) in the text"),
    "tensor([1., 2.], dtype=torch.float16).to('cuda')": ("float16", "dtype=torch.float16 in the text"),
    "loss tensor(0.5, dtype=torch.float64) logits tensor([1., 2.])": ("float32", TORCH),
    "(tensor([[1.5, 2.5]], dtype=torch.float16), tensor([1]))": ("float16", "dtype=torch.float16 in the text"),
}

CARRIED = {
    "(tensor([[1.5, 2.5]]), tensor([1]))": ([[1.5, 2.5]], (1,)),
    "tensor([[1.5, 2.5], [3., 4.]])\ntensor([1, 0])": ([[1.5, 2.5], [3, 4]], (1, 0)),
    "([[1.5, 2.5]], [1])": ([[1.5, 2.5]], (1,)),
    "[tensor([[1, 2]]), tensor([1])]": ([[1, 2]], (1,)),
    "logits = torch.tensor([[1., 2.]])\ntarget = torch.tensor([0])": ([[1, 2]], (0,)),
    "pred [1, 2] target [0]": ([[1, 2]], (0,)),
    "{'logits': [[1, 2], [3, 4]], 'labels': tensor([1, -100])}": ([[1, 2], [3, 4]], (1, -100)),
    "{'logits': [1, 2], 'target': 1}": ([[1, 2]], (1,)),
}


def rows(batch):
    return [row.values.tolist() for row in batch]


@pytest.mark.parametrize(("text", "want"), READ.items(), ids=repr)
def test_pasted_forms(text, want):
    batch = from_text(text, "x")
    np.testing.assert_equal(rows(batch), want[0])
    dropped = want[1]
    shown = ", ".join(map(repr, dropped[:3])) + (" and 1 more" if len(dropped) > 3 else "")
    assert batch.notes == ((f"left out of x: {shown}",) if dropped else ()) and batch.target is None


@pytest.mark.parametrize(("text", "want"), SEPARATORS)
def test_one_kind_of_separator(text, want):
    batch = from_text(text, "x")
    assert rows(batch) == [want] and not batch.notes


@pytest.mark.parametrize(("text", "message"), REFUSED.items(), ids=repr)
def test_what_leaves_a_doubt_is_refused(text, message):
    with pytest.raises(InputError) as caught:
        from_text(text, "x")
    assert message in caught.value.message and caught.value.hint


@pytest.mark.parametrize("text", ["1,000 2,000", "1,5 2,5", "1,5;2,5", "1,000,000", "1 000"])
def test_the_hint_is_about_thousands_and_decimal_commas(text):
    with pytest.raises(InputError) as caught:
        from_text(text, "x")
    assert "1,000 without a comma" in caught.value.hint and "decimal point" in caught.value.hint


@pytest.mark.parametrize(("text", "want"), FORMATS.items(), ids=repr)
def test_the_number_format_comes_along(text, want):
    batch = from_text(text, "x")
    assert (batch.dtype, batch.origin) == want


def test_several_formats_are_told():
    batch = from_text("tensor([1.], dtype=torch.float16)\ntensor([2.], dtype=torch.float32)", "x")
    assert batch.dtype is None and batch.notes == ("the arrays are of several formats, float16 and float32",)


@pytest.mark.parametrize(("text", "want"), CARRIED.items(), ids=repr)
def test_logits_and_targets_in_one_paste(text, want):
    batch = from_text(text, "x")
    assert (rows(batch), batch.target) == want


@pytest.mark.parametrize(
    ("text", "axis", "want"),
    [
        ("[[1, 2], [3, 4]]", 0, [[1, 3], [2, 4]]),
        ("[[1, 2], [3, 4]]", -1, [[1, 2], [3, 4]]),
        ("array([[[1., 2.], [3., 4.]], [[5., 6.], [7., 8.]]])", 1, [[1, 3], [2, 4], [5, 7], [6, 8]]),
        ("1 2 3\n4 5 6", 0, [[1, 4], [2, 5], [3, 6]]),
        ("[1, 2]", 0, [[1, 2]]),
    ],
)
def test_axis(text, axis, want):
    assert rows(from_text(text, "x", axis=axis)) == want


@pytest.mark.parametrize(("text", "axis"), [("[1, 2]", 1), ("[[1, 2]]", 2), ("[[1, 2]]", -3), ("1 2", 1)])
def test_an_axis_that_is_none(text, axis):
    with pytest.raises(InputError, match=f"axis {axis} is out of range: x has"):
        from_text(text, "x", axis=axis)


def test_rows_of_different_lengths_have_only_the_last_axis():
    with pytest.raises(InputError, match="differ in length"):
        from_text("[[1, 2], [3]]", "x", axis=0)


def test_a_token_finds_its_place_on_another_axis():
    batch = from_text("[[1, 2], [9007199254740993, 4]]", "x", axis=0)
    assert [row.tokens for row in batch] == [("1", "9007199254740993"), None]
