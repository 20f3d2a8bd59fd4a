"""A graph of ONNX in the making."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

LAYER_NORM_EPSILON = 1e-5


class Graph:
    """A chain of nodes in the making; values are known by name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.constants[name] = numpy_helper.from_array(value, name)
        return name

    def linear(self, x: str, layer: nn.Module) -> str:
        assert isinstance(layer, nn.Linear)
        self.width = layer.out_features
        return self.add("Gemm", x, *self._parameters(layer), transB=1)

    def convolution(self, x: str, layer: nn.Module) -> str:
        """Without padding."""
        assert isinstance(layer, nn.Conv2d)
        return self.add("Conv", x, *self._parameters(layer), strides=list(layer.stride))

    def _parameters(self, layer: nn.Linear | nn.Conv2d) -> tuple[str, str]:
        assert layer.bias is not None
        prefix = f"layer_{len(self.nodes)}"
        weight, bias = (p.detach().cpu().numpy() for p in (layer.weight, layer.bias))
        return self.constant(f"{prefix}.weight", weight), self.constant(f"{prefix}.bias", bias)

    def norm(self, x: str) -> str:
        ones = self.constant(f"ones_{self.width}", np.ones(self.width, np.float32))
        return self.add("LayerNormalization", x, ones, axis=-1, epsilon=LAYER_NORM_EPSILON)

    def build(self, observation_dim: int, outputs: Mapping[str, int]) -> onnx.GraphProto:
        def value(name: str, width: int) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])

        inputs = [value("observation", observation_dim)]
        given = [value(name, width) for name, width in outputs.items()]
        constants = list(self.constants.values())
        return helper.make_graph(self.nodes, "policy", inputs, given, constants)
