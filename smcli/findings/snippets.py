"""Fixes in PyTorch, JAX and TensorFlow that recur in the pages: each stands here once, and a page names it."""

from __future__ import annotations

import re

MARKER = re.compile(r"^\{fix:(\w+)\}$", re.MULTILINE)
FRAMEWORKS = ("PyTorch", "JAX", "TensorFlow")
FIXES: dict[str, tuple[str, str, str]] = {
    "softmax": (
        "p = F.softmax(logits, dim=-1)",
        "p = jax.nn.softmax(logits, axis=-1)",
        "p = tf.nn.softmax(logits)",
    ),
    "wide_softmax": (
        "p = F.softmax(logits, dim=-1, dtype=torch.float32)",
        "p = jax.nn.softmax(logits.astype(jnp.float32), axis=-1)",
        "p = tf.nn.softmax(tf.cast(logits, tf.float32))",
    ),
    "log_softmax": (
        "log_p = F.log_softmax(logits, dim=-1)",
        "log_p = jax.nn.log_softmax(logits, axis=-1)",
        "log_p = tf.nn.log_softmax(logits)",
    ),
    "loss": (
        "loss = F.cross_entropy(logits, target)",
        "loss = optax.softmax_cross_entropy_with_integer_labels(logits, target)",
        "loss = tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits)",
    ),
}


def insert(page: str) -> str:
    """The page with the snippets that it names: a line `{fix:softmax}` becomes one block a framework.

    Raises:
        KeyError: there is no such snippet.
    """

    def blocks(marker: re.Match[str]) -> str:
        named = zip(FRAMEWORKS, FIXES[marker[1]], strict=True)
        return "\n\n".join(f"{framework}:\n\n```python\n{code}\n```" for framework, code in named)

    return MARKER.sub(blocks, page)
