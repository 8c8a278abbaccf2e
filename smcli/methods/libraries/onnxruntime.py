"""ONNX Runtime, one operator at a time."""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from smcli.errors import UnavailableError
from smcli.methods.libraries import Library, library
from smcli.model import IGNORED

if TYPE_CHECKING:
    from collections.abc import Callable

    from smcli.methods.kernels import Task

Tensor = Any


@library("onnxruntime", source="Softmax, LogSoftmax, ReduceLogSumExp, Sigmoid, SoftmaxCrossEntropyLoss of opset 17")
class OnnxRuntime(Library):
    """ONNX Runtime's operators on the CPU."""

    package, extra = "onnxruntime", "onnxruntime"

    @property
    def reason(self) -> str:
        """It needs onnx, too, which writes the one-operator models."""
        if importlib.util.find_spec("onnx") is None and not super().reason:
            return f"the package onnx, which onnxruntime is called with, is not installed: pip install 'smcli[{self.extra}]'"
        return super().reason

    def softmax(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        return _onnx("Softmax", x.dtype.name)(x)

    def log_softmax(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        return _onnx("LogSoftmax", x.dtype.name)(x)

    def logsumexp(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        return _onnx("ReduceLogSumExp", x.dtype.name)(x)

    def sigmoid(self, x: Tensor, task: Task) -> Tensor:  # noqa: ARG002
        return _onnx("Sigmoid", x.dtype.name)(x)

    def cross_entropy(self, x: Tensor, task: Task) -> Tensor:
        loss, t = task.loss, task.targets
        if t is None or loss.z_loss:
            raise UnavailableError(
                "its SoftmaxCrossEntropyLoss takes a target, and neither soft labels, label smoothing nor a z-loss"
            )
        weights = np.ones(x.shape[1]) if loss.weights is None else loss.weights
        return _onnx("SoftmaxCrossEntropyLoss", x.dtype.name)(x, t, weights.astype(x.dtype))


@cache
def _onnx(op: str, dtype: str) -> Callable[..., Tensor]:
    """A model of one operator, ready to be called with its inputs."""
    import onnxruntime
    from onnx import TensorProto, helper

    kind = {"float64": TensorProto.DOUBLE, "float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}[dtype]
    inputs = [helper.make_tensor_value_info("x", kind, ["R", "C"])]
    if op == "SoftmaxCrossEntropyLoss":
        inputs.append(helper.make_tensor_value_info("t", TensorProto.INT64, ["R"]))
        inputs.append(helper.make_tensor_value_info("w", kind, ["C"]))
    how: dict[str, dict[str, Any]] = {
        "Sigmoid": {},
        "ReduceLogSumExp": {"axes": [-1], "keepdims": 0},
        "SoftmaxCrossEntropyLoss": {"reduction": "none", "ignore_index": IGNORED},
    }
    node = helper.make_node(op, [i.name for i in inputs], ["y"], **how.get(op, {"axis": -1}))
    graph = helper.make_graph([node], op, inputs, [helper.make_tensor_value_info("y", kind, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda *given: session.run(None, dict(zip((i.name for i in inputs), given, strict=True)))[0]
