"""A baseline's policy as a graph of ONNX."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto
from torch import nn

from mrq_core.baselines.policy import BaselinePolicy, Scale, Table
from mrq_core.graph import Graph


def draw(graph: Graph, policy: BaselinePolicy) -> int:
    """From "observation" to "policy"; how many numbers that is."""
    x, size = "observation", sum(policy.components)
    if len(policy.input_shape) == 3:
        shape = graph.constant("input_shape", np.array([-1, *policy.input_shape], np.int64))
        x = graph.add("Reshape", x, shape)
    for layer in policy.layers:
        x = _layer(graph, x, layer)
        if isinstance(layer, nn.Linear):
            size = int(layer.out_features)  # the library has it from NumPy
    match policy.ending:
        case "tanh":
            graph.add("Tanh", x, output="policy")
        case "clip":
            ends = [
                graph.constant(n, np.array(v, np.float32)) for n, v in (("low", -1), ("high", 1))
            ]
            graph.add("Clip", x, *ends, output="policy")
        case "logits":
            graph.add("Identity", x, output="policy")
    return size


def _layer(graph: Graph, x: str, layer: nn.Module) -> str:
    match layer:
        case nn.Linear():
            return graph.linear(x, layer)
        case nn.Conv2d():
            return graph.convolution(x, layer)
        case nn.ReLU():
            return graph.add("Relu", x)
        case nn.Tanh():
            return graph.add("Tanh", x)
        case nn.Flatten():
            return graph.add("Flatten", x, axis=1)
        case Scale():
            return graph.add("Div", x, graph.constant("scale", np.array(255.0, np.float32)))
        case Table():
            strides = graph.constant("strides", layer.strides.cpu().numpy())
            number = graph.add("Round", graph.add("MatMul", x, strides))
            rows = graph.constant("values", layer.values.cpu().numpy().copy())
            index = graph.add("Cast", number, to=TensorProto.INT64)
            return graph.add("Gather", rows, index, axis=0)
    raise AssertionError(f"no way to draw a {type(layer).__name__}")
