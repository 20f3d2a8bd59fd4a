"""A policy as ONNX and JSON. The graph is built by hand: torch's exporter needs further packages
and seconds a call, and its bytes are not the same twice."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mrq_core.actions import action_codec
from mrq_core.bundle import BUNDLE_FORMAT_VERSION, PolicyBundle
from mrq_core.config import Hyperparameters
from mrq_core.networks import Convolution, Linear, PixelEncoder, VectorEncoder
from mrq_core.observations import ObservationForm, wire_space
from mrq_core.policy import Policy
from mrq_core.spaces import Space

# The first with LayerNormalization is 17. Old enough for every ONNX Runtime in use.
OPSET = 17
IR_VERSION = 8
LAYER_NORM_EPSILON = 1e-5


def export_policy(
    policy: Policy,
    *,
    environment_id: str,
    environment_kwargs: Mapping[str, Any],
    observation_space: Space,
    action_space: Space,
    hyperparameters: Hyperparameters,
    step: int,
    weights_sha256: str,
    form: ObservationForm,
    masked: bool,
    sample_states: NDArray[Any],
) -> PolicyBundle:
    """`sample_states` (N, *S) become the golden pairs of the manifest."""
    codec = action_codec(action_space)
    manifest = {
        "format_version": BUNDLE_FORMAT_VERSION,
        "environment_id": environment_id,
        "environment_kwargs": dict(environment_kwargs),
        "observation_space": wire_space(observation_space, form).to_json(),
        "observation_dim": form.input_size,
        "observation_kind": form.kind,
        "input_shape": list(form.input_shape),
        "history": form.history,
        "action_space": action_space.to_json(),
        "action_dim": codec.action_dim,
        "masked": masked,
        "exploration_noise": policy.exploration_noise,
        "hyperparameters": asdict(hyperparameters),
        "step": step,
        "weights_sha256": weights_sha256,
        "versions": _versions(),
        "golden": _golden(policy, action_space, sample_states),
    }
    return PolicyBundle(_onnx(policy, codec.discrete), manifest)


def _golden(policy: Policy, action_space: Space, states: NDArray[Any]) -> dict[str, Any]:
    actions = policy.act(states, "deterministic", torch.Generator())
    return {
        "observations": states.reshape(len(states), -1).tolist(),
        "outputs": policy.outputs(states).tolist(),
        "actions": action_codec(action_space).to_environment(actions).tolist(),
    }


def _versions() -> dict[str, str]:
    modules = {"torch": torch, "numpy": np, "onnx": onnx}
    versions = {name: str(module.__version__) for name, module in modules.items()}
    return {"python": platform.python_version()} | versions


def _onnx(policy: Policy, discrete: bool) -> bytes:
    graph = _Graph()
    x = _encode_state(graph, policy.encoder.state, policy.encoder.input_shape)
    for layer in policy.network.layers:
        x = graph.add("Relu", graph.norm(graph.linear(x, layer)))
    u = graph.linear(x, policy.network.output)
    graph.add("Identity" if discrete else "Tanh", u, output="policy")
    model = helper.make_model(
        graph.build(math.prod(policy.encoder.input_shape), policy.network.output.out_features),
        producer_name="mrq_core",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    onnx.checker.check_model(model, full_check=True)
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def _encode_state(graph: _Graph, encoder: torch.nn.Module, input_shape: tuple[int, ...]) -> str:
    x = "observation"
    match encoder:
        case VectorEncoder():
            for layer in encoder.layers:
                x = graph.add("Elu", graph.norm(graph.linear(x, layer)))
            return x
        case PixelEncoder():
            shape = graph.constant("input_shape", np.array([-1, *input_shape], np.int64))
            scale = graph.constant("scale", np.array(255.0, np.float32))
            middle = graph.constant("middle", np.array(0.5, np.float32))
            x = graph.add("Sub", graph.add("Div", graph.add("Reshape", x, shape), scale), middle)
            for layer in encoder.convolutions:
                x = graph.add("Elu", graph.convolution(x, layer))
            x = graph.linear(graph.add("Flatten", x, axis=1), encoder.projection)
            return graph.add("Elu", graph.norm(x))
    raise AssertionError(f"no way to export a {type(encoder).__name__}")


class _Graph:
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

    def linear(self, x: str, layer: torch.nn.Module) -> str:
        assert isinstance(layer, Linear)
        self.width = layer.out_features
        return self.add("Gemm", x, *self._parameters(layer), transB=1)

    def convolution(self, x: str, layer: torch.nn.Module) -> str:
        assert isinstance(layer, Convolution)
        return self.add("Conv", x, *self._parameters(layer), strides=list(layer.stride))

    def _parameters(self, layer: Linear | Convolution) -> tuple[str, str]:
        assert layer.bias is not None
        prefix = f"layer_{len(self.nodes)}"
        weight, bias = (p.detach().cpu().numpy() for p in (layer.weight, layer.bias))
        return self.constant(f"{prefix}.weight", weight), self.constant(f"{prefix}.bias", bias)

    def norm(self, x: str) -> str:
        ones = self.constant(f"ones_{self.width}", np.ones(self.width, np.float32))
        return self.add("LayerNormalization", x, ones, axis=-1, epsilon=LAYER_NORM_EPSILON)

    def build(self, observation_dim: int, action_dim: int) -> onnx.GraphProto:
        def value(name: str, width: int) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])

        inputs, outputs = [value("observation", observation_dim)], [value("policy", action_dim)]
        constants = list(self.constants.values())
        return helper.make_graph(self.nodes, "policy", inputs, outputs, constants)
