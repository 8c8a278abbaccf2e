"""Findings about numbers that look like something else: probabilities among logits, a clip's constant as a loss."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from smcli.findings.evidence import first, pick
from smcli.findings.remedies import mend
from smcli.findings.rules import Hit, choice, rule
from smcli.judge.logits import scaled
from smcli.model import Severity, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.findings.evidence import RowEvidence, RunEvidence
    from smcli.numbers.formats import Format


@rule("SM903", "looks-like-probabilities", Severity.WARNING, about="row")
def looks_like_probabilities(ev: RowEvidence) -> Iterator[Hit]:
    """The row sums to 1 with every value in [0, 1]: it may be the output of a softmax, not logits.

    ## What it means

    A second softmax flattens what the first one said: [0.98, 0.01, 0.01] becomes about [0.57, 0.22, 0.22]. Training still
    runs, slowly, and the loss stops at a floor that has nothing to do with the data. No error is ever raised. A row of 0
    but for a single 1 is asked about when there is a target: it may be a label, or a prediction after argmax.

    ## Why it happens

    The values lie in [0, 1], so two of them differ by 1 at most. With n classes no probability can exceed e/(e + n − 1), and
    no loss can fall below log(1 + (n − 1)/e): 0.551 for 3 classes, 1.461 for 10, 5.91 for 1000. Such a floor is the sign.

    ## How to fix it

    Hand over the logits, from before any softmax. Where only probabilities exist, their log is a right set of logits; NumPy:

    ```python
    import numpy as np

    given = np.array([0.2, 0.3, 0.5])
    x = np.log(given)
    e = np.exp(x - x.max())
    p = e / e.sum()
    ```

    PyTorch: no softmax at the end of the model; cross_entropy has its own (nll_loss is the one that takes log p):

    ```python
    loss = F.cross_entropy(model(inputs), target)
    ```

    JAX:

    ```python
    logits = model(params, inputs)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, target)
    ```

    TensorFlow: from_logits must say what the last layer returns. No activation there:

    ```python
    model.add(tf.keras.layers.Dense(classes))
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss)
    ```

    ## See it

    ```sh
    smcli compare 0.2 0.3 0.5
    ```

    ## Source

    PyTorch documentation, torch.nn.CrossEntropyLoss (input: unnormalised logits) and torch.nn.NLLLoss. Keras documentation,
    SparseCategoricalCrossentropy (from_logits).
    """
    x = ev.x
    count = x.shape[1]
    if count < 2:
        return
    slack = min(2 * ev.format.unit_roundoff * count + 1e-6, 1e-2)
    sums = ((x >= 0) & (x <= 1)).all(axis=1) & (np.abs(x.sum(axis=1) - 1) <= slack)
    one_hot = (x == 1).any(axis=1)
    asked = False if ev.labelled is None else ev.labelled.any(axis=1)
    where = np.broadcast_to((sums & (~one_hot | asked))[:, None], x.shape)
    if not where.any():
        return
    looks = choice(
        "all {n} values are in [0, 1] and sum to 1: these look like probabilities",
        "one value is 1 and the others are 0: this looks like a label or a prediction, not like logits",
        index=one_hot,
    )
    largest, z = x.max(axis=1), scaled(ev.problem)
    if ev.elementwise:
        message, becomes = (
            "{looks}, and {function} of them stays within 0.5 and {becomes}",
            1 / (1 + np.exp(-z.max(axis=1))),
        )
    else:
        becomes = 1 / np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1)
        message = "{looks}, and softmax of them is {another}: the largest, {largest}, becomes {becomes}"
    flatter = becomes < largest
    yield Hit(
        where,
        message,
        choice(
            "pass the logits, from before any {function}: one applied twice {does}",
            "pass the logits of the model, from before any {function} or argmax",
            index=one_hot,
        ),
        facts={"looks": looks, "largest": largest, "becomes": becomes, "function": "sigmoid" if ev.elementwise else "softmax",
               "another": choice("another one", "flatter", index=flatter),
               "does": choice("gives other probabilities", "flattens", index=flatter)},
    )  # fmt: skip


LATER = "Keras adds ε once more to the clipped 1 − p"
CLIPS = (  # ε, who has it
    (1e-7, "Keras"),
    (2e-7, LATER),
    (1e-6, ""),
    (1e-8, ""),
    (1e-9, ""),
    (1e-10, ""),
    (1e-12, "hand-written losses"),
    (1e-15, "scikit-learn before 1.2"),
    (1e-16, ""),
    (1e-20, ""),
    (1e-30, ""),
    (2.0**-52, "the machine epsilon of float64"),
    (2.0**-23, "the machine epsilon of float32, and what is left of 1 − p clipped at 1 − 1e-7 there"),
    (2.0**-23 + 1e-7, f"{LATER}, in float32"),
    (2.0**-126, "the smallest normal number of float32"),
    (2.0**-149, "the smallest number of float32"),
    (2.0**-1022, "the smallest normal number of float64"),
)


def constants(f: Format) -> list[tuple[float, str]]:
    """The losses at which clips stick in a format, each with its text, "−log 1e-07 (Keras)"."""
    out = {100.0: "that of PyTorch's BCELoss, which bounds log p at −100"}
    for epsilon, whose in CLIPS:
        clip = float(f.round(np.array([epsilon]))[0])
        if clip > 0:
            loss = float(f.round(np.array([-math.log(clip)]))[0])
            what = f"−log {epsilon:.6g}"
            out.setdefault(loss, f"{what} ({whose})" if whose else what)
    return list(out.items())


@rule("SM904", "clip-constant", Severity.NOTE)
def clip_constant(ev: RunEvidence) -> Iterator[Hit]:
    """A loss equals −log ε of a well-known clip: it is the clip's constant, not the loss.

    ## What it means

    Probabilities were clipped to [ε, 1 − ε] before the log, so every very wrong prediction costs the same. The loss cannot
    rise above the constant, and the derivative through the clip is 0: the worst examples teach nothing.

    ## Why it happens

    −log ε is 16.118 for ε = 1e-7 (Keras), 27.631 for 1e-12 and 34.539 for 1e-15 (scikit-learn's log_loss before 1.2; since
    then ε is that of the dtype, 36.044 in float64 and 15.942 in float32). With p clipped at 1 − 1e-7 in float32, 1 − p is
    2^-23 and its log 15.942 too; Keras adds ε once more, which makes 15.425, or 15.333 in float32. PyTorch's BCELoss bounds
    the log at −100 instead. ε is rounded to the format first:

    {table:clip_loss}

    The finding is about losses within 1e-3 of such a constant whose true value is something else. Where smcli saw every step
    of the method, one of them has to be a clip.

    ## How to fix it

    Compute the loss from the logits: in log space no clip is needed. NumPy:

    ```python
    import numpy as np

    x, t = np.array([0.0, 20.0]), 0
    z = x - x.max()
    loss = np.log(np.exp(z).sum()) - z[t]
    ```

    PyTorch (binary: binary_cross_entropy_with_logits, not BCELoss of a sigmoid):

    ```python
    loss = F.cross_entropy(logits, target)
    ```

    JAX:

    ```python
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, target)
    ```

    TensorFlow and Keras, with a last layer that has no softmax:

    ```python
    loss_of = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    loss = loss_of(target, logits)
    ```

    ## See it

    ```sh
    smcli compare 0 20 --target 0 --method clipped,fused
    smcli compare 0 100 --target 0 --method clipped,fused --dtype float32
    ```

    ## Source

    Keras documentation, keras.config.epsilon and CategoricalCrossentropy. scikit-learn documentation, log_loss (eps).
    PyTorch documentation, torch.nn.BCELoss.
    """
    if not ev.quantity.is_loss or (
        not ev.run.unseen and not any("ε" in s.expr or "−100" in s.expr for s in ev.run.steps)
    ):
        return  # a trace shows that nothing was clipped
    wrong = ev.verdict(Verdict.INACCURATE, Verdict.LOST) & np.isfinite(ev.y)
    for loss, text in constants(ev.format):
        where = (np.abs(ev.y - loss) <= 1e-3) & ~(np.abs(ev.t - loss) <= 2e-3) & wrong
        if not where.any():
            continue
        wrong = wrong & ~where
        logits = "compute the loss from logits instead of clipping probabilities"
        yield Hit(
            where,
            "the loss at {at} is {|about }{got}, the constant at which a clip of probabilities sticks: {constant}; "
            "the true loss{there} is {true}",
            mend(ev, where, otherwise=logits, elsewhere=logits),
            facts={"got": pick(ev.y, first(where)), "constant": text},
        )
