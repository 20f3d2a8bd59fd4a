"""A policy as ONNX and JSON. The graph is built by hand: torch's exporter needs further packages
and seconds a call, and its bytes are not the same twice."""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper

from mrq_core.actions import action_codec
from mrq_core.baselines import graph as baselines
from mrq_core.baselines.policy import BaselinePolicy
from mrq_core.baselines.settings import Baseline, name_of
from mrq_core.bundle import BUNDLE_FORMAT_VERSION, PolicyBundle
from mrq_core.config import Hyperparameters
from mrq_core.graph import Graph
from mrq_core.model_graph import draw_model
from mrq_core.networks import PixelEncoder, VectorEncoder
from mrq_core.observations import ObservationForm, wire_space
from mrq_core.policy import Policy
from mrq_core.spaces import Floats, Space
from mrq_core.world_model import WorldModel

# The first with LayerNormalization is 17. Old enough for every ONNX Runtime in use.
OPSET = 17
IR_VERSION = 8


def export_policy(
    policy: Policy | BaselinePolicy,
    *,
    environment_id: str,
    environment_kwargs: Mapping[str, Any],
    observation_space: Space,
    action_space: Space,
    hyperparameters: Hyperparameters | Baseline,
    step: int,
    weights_sha256: str,
    form: ObservationForm,
    masked: bool,
    sample_states: NDArray[Any],
    seen: tuple[Floats, Floats] | None = None,
) -> PolicyBundle:
    """`sample_states` (N, *S) become the golden pairs of the manifest; `seen` is the least and the
    largest of each input, (D,) each, in training."""
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
        "algorithm": algorithm_of(hyperparameters),
        "hyperparameters": asdict(hyperparameters),
        "step": step,
        "weights_sha256": weights_sha256,
        "versions": _versions(),
        "golden": _golden(policy, action_space, sample_states),
    }
    if seen is not None:
        manifest["seen"] = dict(zip(("low", "high"), (ends.tolist() for ends in seen), strict=True))
    graph = _onnx(policy, codec.discrete)
    if isinstance(policy, BaselinePolicy) or isinstance(hyperparameters, Baseline):
        return PolicyBundle(graph, manifest)
    model = _model_onnx(policy.model, codec.action_dim)
    manifest["model"] = {
        "sha256": hashlib.sha256(model).hexdigest(),
        "trained_horizon": hyperparameters.enc_horizon,
        "discount": hyperparameters.discount,
        "golden": _golden_model(policy, sample_states),
    }
    return PolicyBundle(graph, manifest, model)


def algorithm_of(hyperparameters: Hyperparameters | Baseline) -> str:
    return "mrq" if isinstance(hyperparameters, Hyperparameters) else name_of(hyperparameters)


def _golden(
    policy: Policy | BaselinePolicy, action_space: Space, states: NDArray[Any]
) -> dict[str, Any]:
    actions = policy.act(states, "deterministic", torch.Generator())
    return {
        "observations": states.reshape(len(states), -1).tolist(),
        "outputs": policy.outputs(states).tolist(),
        "actions": action_codec(action_space).to_environment(actions).tolist(),
    }


@torch.no_grad()
def _golden_model(policy: Policy, states: NDArray[Any]) -> dict[str, Any]:
    """Of the deterministic action, which is `actions` in the network's units, and of the same
    action again a step later: that tells of `next_zs` what matters of it."""
    actions = torch.from_numpy(policy.act(states, "deterministic", torch.Generator()))
    zs = policy.encode(states)
    first = policy.model.predict(zs, actions.to(zs.device))
    second = policy.model.predict(first.next_zs, actions.to(zs.device))
    named = {"q": first.q, "reward": first.reward, "termination": first.termination}
    golden = {name: values.tolist() for name, values in named.items()}
    return {"actions": actions.tolist(), **golden, "next_q": second.q.tolist()}


def _versions() -> dict[str, str]:
    modules = {"torch": torch, "numpy": np, "onnx": onnx}
    versions = {name: str(module.__version__) for name, module in modules.items()}
    return {"python": platform.python_version()} | versions


def _onnx(policy: Policy | BaselinePolicy, discrete: bool) -> bytes:
    graph = Graph()
    if isinstance(policy, BaselinePolicy):
        inputs, outputs = policy.input_size, {"policy": baselines.draw(graph, policy)}
    else:
        inputs, outputs = _draw(graph, policy, discrete)
    return _serialized(graph.build("policy", {"observation": inputs}, outputs))


def _model_onnx(model: WorldModel, action_dim: int) -> bytes:
    graph = Graph()
    return _serialized(graph.build("model", *draw_model(graph, model, action_dim)))


def _serialized(graph: onnx.GraphProto) -> bytes:
    model = helper.make_model(
        graph,
        producer_name="mrq_core",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    onnx.checker.check_model(model, full_check=True)
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def _draw(graph: Graph, policy: Policy, discrete: bool) -> tuple[int, dict[str, int]]:
    """MR.Q's, from "observation" to "policy" and "latent"; how many numbers these are."""
    x = _encode_state(graph, policy.encoder.state, policy.encoder.input_shape)
    zs_dim = graph.width
    graph.add("Identity", x, output="latent")
    for layer in policy.network.layers:
        x = graph.add("Relu", graph.norm(graph.linear(x, layer)))
    u = graph.linear(x, policy.network.output)
    graph.add("Identity" if discrete else "Tanh", u, output="policy")
    outputs = {"policy": policy.network.output.out_features, "latent": zs_dim}
    return math.prod(policy.encoder.input_shape), outputs


def _encode_state(graph: Graph, encoder: torch.nn.Module, input_shape: tuple[int, ...]) -> str:
    x = "observation"
    match encoder:
        case VectorEncoder():
            for layer in encoder.layers:
                x = graph.elu(graph.norm(graph.linear(x, layer)))
            return x
        case PixelEncoder():
            shape = graph.constant("input_shape", np.array([-1, *input_shape], np.int64))
            scale = graph.constant("scale", np.array(255.0, np.float32))
            middle = graph.constant("middle", np.array(0.5, np.float32))
            x = graph.add("Sub", graph.add("Div", graph.add("Reshape", x, shape), scale), middle)
            for layer in encoder.convolutions:
                x = graph.elu(graph.convolution(x, layer))
            x = graph.linear(graph.add("Flatten", x, axis=1), encoder.projection)
            return graph.elu(graph.norm(x))
    raise AssertionError(f"no way to export a {type(encoder).__name__}")
