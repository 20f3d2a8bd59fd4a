"""A policy as ONNX and JSON. The graph is built by hand: torch's exporter needs further packages
and seconds a call, and its bytes are not the same twice."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from mrq_core.actions import action_codec
from mrq_core.bundle import BUNDLE_FORMAT_VERSION, PolicyBundle
from mrq_core.config import Hyperparameters
from mrq_core.networks import Linear
from mrq_core.policy import Policy
from mrq_core.spaces import Floats, Space

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
    sample_observations: Floats,
) -> PolicyBundle:
    """`sample_observations` (N, D) become the golden pairs of the manifest."""
    codec = action_codec(action_space)
    manifest = {
        "format_version": BUNDLE_FORMAT_VERSION,
        "environment_id": environment_id,
        "environment_kwargs": dict(environment_kwargs),
        "observation_space": observation_space.to_json(),
        "observation_dim": observation_space.flat_size,
        "action_space": action_space.to_json(),
        "action_dim": codec.action_dim,
        "exploration_noise": policy.exploration_noise,
        "hyperparameters": asdict(hyperparameters),
        "step": step,
        "weights_sha256": weights_sha256,
        "versions": _versions(),
        "golden": _golden(policy, action_space, sample_observations),
    }
    return PolicyBundle(_onnx(policy, codec.discrete), manifest)


def _golden(policy: Policy, action_space: Space, observations: Floats) -> dict[str, Any]:
    actions = policy.act(observations, "deterministic", torch.Generator())
    return {
        "observations": observations.tolist(),
        "outputs": policy.outputs(observations).tolist(),
        "actions": action_codec(action_space).to_environment(actions).tolist(),
    }


def _versions() -> dict[str, str]:
    modules = {"torch": torch, "numpy": np, "onnx": onnx}
    versions = {name: str(module.__version__) for name, module in modules.items()}
    return {"python": platform.python_version()} | versions


def _onnx(policy: Policy, discrete: bool) -> bytes:
    graph = _Graph()
    x = "observation"
    for layer in policy.encoder.state_layers:
        x = graph.add("Elu", graph.norm(graph.linear(x, layer)))
    for layer in policy.network.layers:
        x = graph.add("Relu", graph.norm(graph.linear(x, layer)))
    u = graph.linear(x, policy.network.output)
    graph.add("Identity" if discrete else "Tanh", u, output="policy")
    model = helper.make_model(
        graph.build(policy.encoder.observation_dim, policy.network.output.out_features),
        producer_name="mrq_core",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    onnx.checker.check_model(model, full_check=True)
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


class _Graph:
    """A chain of nodes in the making; values are known by name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: Floats) -> str:
        self.constants[name] = numpy_helper.from_array(value, name)
        return name

    def linear(self, x: str, layer: torch.nn.Module) -> str:
        assert isinstance(layer, Linear)
        weight, bias = (p.detach().cpu().numpy() for p in (layer.weight, layer.bias))
        self.width = len(bias)
        prefix = f"layer_{len(self.nodes)}"
        names = self.constant(f"{prefix}.weight", weight), self.constant(f"{prefix}.bias", bias)
        return self.add("Gemm", x, *names, transB=1)

    def norm(self, x: str) -> str:
        ones = self.constant(f"ones_{self.width}", np.ones(self.width, np.float32))
        return self.add("LayerNormalization", x, ones, axis=-1, epsilon=LAYER_NORM_EPSILON)

    def build(self, observation_dim: int, action_dim: int) -> onnx.GraphProto:
        def value(name: str, width: int) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])

        inputs, outputs = [value("observation", observation_dim)], [value("policy", action_dim)]
        constants = list(self.constants.values())
        return helper.make_graph(self.nodes, "policy", inputs, outputs, constants)
