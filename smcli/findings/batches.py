"""Findings about a function that was asked row by row, because of what it made of the batch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from smcli.findings.evidence import first, pick
from smcli.findings.rules import Hit, rule
from smcli.methods.batches import differ
from smcli.model import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smcli.findings.evidence import RunEvidence
    from smcli.model import Apart, BoolArray

BY_AXIS = "take every maximum and sum over the last axis, x.sum(axis=-1, keepdims=True)"


@rule("SM410", "batch-differs", Severity.WARNING, always=True)
def batch_differs(ev: RunEvidence) -> Iterator[Hit]:
    """A function took a batch without a word, and gave other values than it gives for its rows alone.

    ## What it means

    The values that are judged are those of the rows alone, and they may all be right. Code that calls the function with a
    batch, as training does, gets the other values, and no error: their shape is that of the right ones.

    ## Why it happens

    A sum without an axis is over the whole batch; one over axis 0 is over the rows. A sum over the last axis without
    keepdims=True has the shape [rows], which NumPy aligns with the classes: an error, unless there are as many rows as
    classes. For a row that stands alone all three are right. For probabilities it is said which of them it looks like: the
    columns sum to 1, or all values do, or each column is divided by the sum of another row.

    Values of the batch and of a row alone are called different where they differ by more than a tenth and by more than a
    hundredth of the row's largest value, which no rounding explains.

    ## How to fix it

    Name the last axis in every reduction. NumPy:

    ```python
    import numpy as np

    x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 9.0]])
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)
    ```

    PyTorch:

    ```python
    p = torch.softmax(x, dim=-1)
    ```

    JAX:

    ```python
    p = jax.nn.softmax(x, axis=-1)
    ```

    TensorFlow:

    ```python
    p = tf.nn.softmax(x, axis=-1)
    ```

    A function that is meant for one row alone should refuse a batch: `assert x.ndim == 1`.

    ## See it

    ```sh
    smcli compare '[[1, 2], [3, 5]]' --quantity softmax --method numpy:flip
    ```

    ## Source

    NumPy documentation, "Broadcasting". Documentation of torch.softmax (dim) and jax.nn.softmax (axis).
    """
    apart = ev.run.apart
    if apart is None or apart.batch is None or apart.alone is None:
        return
    where = _counted(ev, differ(apart.batch, apart.alone))
    at = first(where)
    yield Hit(
        where,
        "{said}; at {first:place} it gave {got} where the row alone gives {alone}; the values of the rows alone are judged",
        f"{BY_AXIS}; if it is meant for one row alone, let it refuse a batch",
        facts={"said": _words(apart), "first": at, "got": pick(apart.batch, at), "alone": pick(apart.alone, at)},
    )


@rule("SM411", "row-by-row", Severity.NOTE, always=True)
def row_by_row(ev: RunEvidence) -> Iterator[Hit]:
    """A function took no batch and was called row by row: what is judged is what it makes of a row alone.

    ## What it means

    The batch made it raise an exception, or return values of a wrong shape; each row alone gave values, and these are
    judged. That is as it should be of a function of one row. It is not of one that training calls with batches.

    ## Why it happens

    A sum over the last axis without keepdims=True has the shape [rows], and dividing [rows, classes] by it fails unless
    there are as many rows as classes: "operands could not be broadcast together". A plain index, as in p[target], takes
    whole rows of a batch, and a mean or a sum without an axis makes one value of all rows.

    ## How to fix it

    Where batches are to work, name the last axis in every reduction, and index each row with its own target. NumPy:

    ```python
    import numpy as np

    x, target = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 4.5]]), np.array([0, 2])
    z = x - x.max(axis=-1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    losses = -log_p[np.arange(len(x)), target]
    ```

    PyTorch:

    ```python
    loss = F.cross_entropy(x, target, reduction="none")
    ```

    JAX, which maps a function of one row over a batch:

    ```python
    loss = jax.vmap(own_loss)(x, target)
    ```

    TensorFlow:

    ```python
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(target, x)
    ```

    ## See it

    ```sh
    smcli compare '[[1, 2], [3, 5]]' --quantity logsumexp --method numpy:sum
    ```

    ## Source

    NumPy documentation, "Broadcasting" and "Advanced indexing". JAX documentation, jax.vmap.
    """
    apart = ev.run.apart
    if apart is None or apart.batch is not None:
        return
    yield Hit(
        _counted(ev, np.ones(ev.y.shape, dtype=bool)),
        "with a batch {said}; it was called row by row, and the values of the rows alone are judged",
        f"where it is to take batches, {BY_AXIS}; nothing if it is a function of one row",
        facts={"said": _words(apart)},
    )


def _counted(ev: RunEvidence, where: BoolArray) -> BoolArray:
    """Without the rows that are left out, whose values are not the function's."""
    ignored = ev.problem.ignored
    return where if ignored is None else where & ~ignored[:, None]


def _words(apart: Apart) -> Apart:
    """What stands for its words in a message, taken as they are: braces in them are no names."""
    return replace(apart, batch=None, alone=None)
