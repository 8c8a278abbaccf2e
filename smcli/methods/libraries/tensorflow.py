"""TensorFlow with the fused loss and with the one by hand."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from smcli.errors import UnavailableError
from smcli.methods.libraries import WIDE, Library, library, named

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from smcli.methods.kernels import Task

Tensor = Any


@library(
    "tensorflow",
    source="tf.nn.softmax, log_softmax, softmax_cross_entropy_with_logits, sigmoid_cross_entropy_with_logits, "
    "tf.math.sigmoid, log_sigmoid; Keras KLD and focal cross-entropies",
    backward="autograd",
)
class TensorFlow(Library):
    """TensorFlow with the fused loss, as its manual advises; derivatives by GradientTape."""

    package, extra, dtypes = "tensorflow", "tensorflow", (*WIDE, "bfloat16")
    distributions = ("tensorflow", "tensorflow-cpu")
    gradients: ClassVar[tuple[str, ...]] = ("cross-entropy", "bce", "kl", "focal")
    products = ("softmax", "log-softmax", "logsumexp")
    fused: ClassVar[bool] = True

    @cached_property
    def tf(self) -> Any:
        """TensorFlow, imported when it is first used."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import tensorflow as tf

        return tf

    def tensor(self, values: NDArray[Any], task: Task) -> Tensor:
        return self.tf.cast(self.tf.constant(values), getattr(self.tf, task.format.name))

    def softmax(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        return self.tf.nn.softmax(x)

    def log_softmax(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        return self.tf.nn.log_softmax(x)

    def logsumexp(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        return self.tf.reduce_logsumexp(x, axis=-1)

    def cross_entropy(self, x: Tensor, task: Task) -> Tensor:
        loss, t = task.loss, task.targets
        if t is None or loss.weights is None:
            value = self.of_labels(x, self.tensor(task.labels, task), task)
        else:  # a weight stands before the loss, as its users write it
            hot = np.eye(x.shape[1])[np.maximum(t, 0)]
            value = self.tensor(loss.weights[np.maximum(t, 0)], task) * self.of_labels(x, self.tensor(hot, task), task)
        return value + loss.z_loss * self.logsumexp(x, task) ** 2 if loss.z_loss else value

    def of_labels(self, x: Tensor, y: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        """The cross-entropy with a label for each class."""
        return self.tf.nn.softmax_cross_entropy_with_logits(labels=y, logits=x)

    def bce(self, x: Tensor, task: Task) -> Tensor:
        return self.tf.nn.sigmoid_cross_entropy_with_logits(labels=self.tensor(task.labels, task), logits=x)

    def sigmoid(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        return self.tf.math.sigmoid(x)

    def log_sigmoid(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        return self.tf.math.log_sigmoid(x)

    def kl(self, x: Tensor, task: Task) -> Tensor:
        p, q = self.softmax(self.tensor(task.teacher, task), task), self.softmax(x, task)
        return self.tf.keras.losses.KLD(*((q, p) if task.loss.reverse else (p, q)))

    def focal(self, x: Tensor, task: Task) -> Tensor:
        loss = task.loss
        if loss.weights is not None or loss.smoothing:
            raise UnavailableError("its focal loss is called with the target alone, without class weights or smoothing")
        losses, how = self.tf.keras.losses, {"gamma": loss.gamma, "from_logits": True}
        if loss.labels is not None and not np.isin(loss.labels, (0, 1)).all():
            raise UnavailableError("its binary_focal_crossentropy is another function of labels other than 0 and 1")
        if loss.labels is not None:  # Keras takes the mean over the last axis
            return losses.binary_focal_crossentropy(self.tensor(loss.labels, task)[..., None], x[..., None], **how)
        return losses.categorical_focal_crossentropy(self.tensor(task.labels, task), x, alpha=1.0, **how)

    def gradient(self, x: Tensor, task: Task) -> Tensor:
        if (
            self.fused
            and task.loss.kind == "cross-entropy"
            and task.targets is None
            and not np.allclose(task.labels.sum(axis=1), 1, rtol=1e-2)
        ):
            task.arithmetic.notes.append(
                "its gradient is softmax − labels, which is that of the loss only where the labels sum to 1"
            )
        with self.tf.GradientTape() as tape:
            tape.watch(x)
            value = getattr(self, named(task.loss.kind))(x, task)
        return tape.gradient(value, x)

    def jacobian(self, x: Tensor, task: Task) -> Tensor:
        with self.tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            p = self.softmax(x, task)
        return tape.batch_jacobian(p, x, experimental_use_pfor=False)  # pfor would compile a graph for each shape

    def vjp(self, x: Tensor, task: Task) -> Tensor:
        with self.tf.GradientTape() as tape:
            tape.watch(x)
            p = getattr(self, named(task.problem.vjp_of))(x, task)
        return tape.gradient(p, x, output_gradients=self.tensor(task.cotangent, task))


@library("tensorflow-by-hand", source="-tf.reduce_sum(y * tf.math.log(tf.nn.softmax(x)))", backward="autograd")
class TensorFlowByHand(TensorFlow):
    """TensorFlow with the loss by hand, −Σ y·log softmax(x), which its manual advises against."""

    fused = False
    gradients = ("cross-entropy", "bce", "entropy", "kl", "focal")

    def log_softmax(self, x: Tensor, task: Task) -> Tensor:
        return self.tf.math.log(self.softmax(x, task))

    def of_labels(self, x: Tensor, y: Tensor, task: Task) -> Tensor:
        return -self.tf.reduce_sum(y * self.log_softmax(x, task), axis=-1)

    def bce(self, x: Tensor, task: Task) -> Tensor:
        y, p = self.tensor(task.labels, task), self.tf.math.sigmoid(x)
        return -(y * self.tf.math.log(p) + (1 - y) * self.tf.math.log(1 - p))

    def log_sigmoid(self, x: Tensor, task: Task) -> Tensor:
        return self.tf.math.log(self.sigmoid(x, task))

    def entropy(self, x: Tensor, task: Task) -> Tensor:
        return -self.tf.reduce_sum(self.softmax(x, task) * self.log_softmax(x, task), axis=-1)

    def kl(self, x: Tensor, task: Task) -> Tensor:
        p, q = self.softmax(self.tensor(task.teacher, task), task), self.softmax(x, task)
        p, q = (q, p) if task.loss.reverse else (p, q)
        return self.tf.reduce_sum(p * self.tf.math.log(p / q), axis=-1)

    def focal(self, x: Tensor, task: Task) -> Tensor:
        loss, t = task.loss, task.targets
        if t is None or loss.weights is not None:
            raise UnavailableError(
                "its focal loss by hand takes a target, and neither labels, smoothing nor class weights"
            )
        p = self.tf.gather(self.softmax(x, task), np.maximum(t, 0), batch_dims=1)
        return -((1 - p) ** loss.gamma) * self.tf.math.log(p)
