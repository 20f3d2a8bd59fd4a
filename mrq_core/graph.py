"""A graph of ONNX in the making."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from mrq_core.networks import HeadsLinear

LAYER_NORM_EPSILON = 1e-5


class Graph:
    """A chain of nodes in the making; values are known by name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def add(
        self,
        kind: str,
        *inputs: str,
        output: str = "",
        outputs: Sequence[str] = (),
        **attributes: Any,
    ) -> str:
        """The name of its output, or of the first."""
        outputs = outputs or [output or f"{kind.lower()}_{len(self.nodes)}"]
        self.nodes.append(helper.make_node(kind, inputs, outputs, **attributes))
        return outputs[0]

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.constants[name] = numpy_helper.from_array(value, name)
        return name

    def linear(self, x: str, layer: nn.Module, output: str = "") -> str:
        assert isinstance(layer, nn.Linear)
        self.width = layer.out_features
        return self.add("Gemm", x, *self._parameters(layer), transB=1, output=output)

    def head(self, x: str, layer: nn.Module, head: int) -> str:
        """One of the heads that the layer holds side by side."""
        assert isinstance(layer, HeadsLinear)
        weight, bias = (p[head].detach().cpu().numpy() for p in (layer.weight, layer.bias))
        self.width = weight.shape[1]
        return self.add("Gemm", x, *self._named(weight, bias[0]))

    def convolution(self, x: str, layer: nn.Module) -> str:
        """Without padding."""
        assert isinstance(layer, nn.Conv2d)
        return self.add("Conv", x, *self._parameters(layer), strides=list(layer.stride))

    def _parameters(self, layer: nn.Linear | nn.Conv2d) -> tuple[str, str]:
        assert layer.bias is not None
        return self._named(*(p.detach().cpu().numpy() for p in (layer.weight, layer.bias)))

    def _named(self, weight: NDArray[Any], bias: NDArray[Any]) -> tuple[str, str]:
        prefix = f"layer_{len(self.nodes)}"
        return self.constant(f"{prefix}.weight", weight), self.constant(f"{prefix}.bias", bias)

    def norm(self, x: str) -> str:
        ones = self.constant(f"ones_{self.width}", np.ones(self.width, np.float32))
        return self.add("LayerNormalization", x, ones, axis=-1, epsilon=LAYER_NORM_EPSILON)

    def elu(self, x: str) -> str:
        """ELU as the larger of x and exp(min(x, 0)) - 1, whose results are those of each number
        alone. ONNX Runtime's own Elu has an exp for eight numbers and another one for what is left
        over, so that its last bits depend on how threads share the rows."""
        zero = self.constant("zero", np.array(0.0, np.float32))
        one = self.constant("one", np.array(1.0, np.float32))
        below = self.add("Sub", self.add("Exp", self.add("Min", x, zero)), one)
        return self.add("Max", x, below)

    def build(
        self, name: str, inputs: Mapping[str, int], outputs: Mapping[str, int]
    ) -> onnx.GraphProto:
        """Of each input and output its width: they are rows of numbers, "batch" of them."""

        def values(sizes: Mapping[str, int]) -> list[onnx.ValueInfoProto]:
            return [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])
                for name, width in sizes.items()
            ]

        constants = list(self.constants.values())
        return helper.make_graph(self.nodes, name, values(inputs), values(outputs), constants)
