"""A 784-1024-10 network on synthetic digits, trained with the loss as people first write it, and with the fused one.

The hand-written loss takes exp of the logits as they are. At the first large update a logit passes 88.72, exp overflows
float32, and the loss is nan: the script prints the logits and targets of that step. The fused loss trains on.

    python docs/examples/diverging_training.py | smcli compare --quantity cross-entropy --dtype float32

What happens is told on standard error; standard output is one JSON object with the keys `logits` and `target`. In a script
of your own np.savez("step.npz", logits=logits, target=target) does as well.
"""

from __future__ import annotations

import json
import sys

import numpy as np

BATCH, STEPS, RATE = 64, 40, 0.05
CONTRAST = 8.0  # pixels that nobody brought to unit size: what the first update does with them is too much
SEGMENTS = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcfgd")  # of ten digits
BARS = {  # rows and columns of a 28 x 28 picture
    "a": (slice(3, 6), slice(8, 20)), "g": (slice(13, 16), slice(8, 20)), "d": (slice(23, 26), slice(8, 20)),
    "f": (slice(4, 14), slice(6, 9)), "b": (slice(4, 14), slice(19, 22)),
    "e": (slice(15, 25), slice(6, 9)), "c": (slice(15, 25), slice(19, 22)),
}  # fmt: skip


def digits(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Noisy seven-segment digits: float32 [count, 784] and the class of each, int64 [count]."""
    shapes = np.zeros((10, 28, 28), dtype=np.float32)
    for digit, on in enumerate(SEGMENTS):
        for bar in on:
            shapes[(digit, *BARS[bar])] = 1.0
    target = rng.integers(0, 10, count)
    pictures = shapes[target] + rng.normal(0, 0.6, (count, 28, 28)).astype(np.float32)
    return np.float32(CONTRAST) * pictures.reshape(count, 784), target


def handwritten(logits: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean of −log(exp(x_t)/Σ exp(x)), and its gradient by the logits, as the formula says."""
    e = np.exp(logits)
    p = e / e.sum(axis=1, keepdims=True)
    rows = np.arange(len(target))
    loss = -np.log(p[rows, target]).mean()
    p[rows, target] -= 1
    return float(loss), p / len(target)


def fused(logits: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """The same in log space: no exp of a positive number, no log of a small one."""
    z = logits - logits.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    rows = np.arange(len(target))
    p = np.exp(log_p)
    p[rows, target] -= 1
    return float(-log_p[rows, target].mean()), p / len(target)


def train(loss_of, seed: int = 1):
    """Train for some steps; yields step, loss, logits and target of each."""
    rng = np.random.default_rng(seed)
    w1 = rng.normal(0, np.sqrt(2 / 784), (784, 1024)).astype(np.float32)
    w2 = rng.normal(0, np.sqrt(2 / 1024), (1024, 10)).astype(np.float32)
    for step in range(STEPS):
        x, target = digits(BATCH, rng)
        hidden = np.maximum(x @ w1, 0)
        logits = hidden @ w2
        loss, g = loss_of(logits, target)
        yield step, loss, logits, target
        back = (g @ w2.T) * (hidden > 0)
        w2 -= RATE * (hidden.T @ g).astype(np.float32)
        w1 -= RATE * (x.T @ back).astype(np.float32)


def main() -> None:
    """Train twice, and print the logits and targets of the step that broke."""
    with np.errstate(all="ignore"):
        for step, loss, logits, target in train(handwritten):
            if np.isnan(loss):
                print(f"hand-written loss: {loss} at step {step}", file=sys.stderr)
                print(json.dumps({"logits": logits.tolist(), "target": target.tolist()}))
                break
    *_, (step, loss, _, _) = train(fused)
    print(f"fused loss: {loss:.4f} at step {step}", file=sys.stderr)


if __name__ == "__main__":
    main()
