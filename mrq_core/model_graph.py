"""The learnt model and the values as a graph of ONNX of their own: larger than the policy's, and
needed for questions only."""

from __future__ import annotations

import numpy as np

from mrq_core.graph import Graph
from mrq_core.networks import HEADS, Encoder, Value
from mrq_core.reward_model import SquaredError
from mrq_core.two_hot import TwoHot
from mrq_core.world_model import WorldModel


def draw_model(graph: Graph, model: WorldModel, action_dim: int) -> tuple[dict[str, int], ...]:
    """From "zs" and "action" to "q", "reward", "termination" and "next_zs": what
    `mrq_core.world_model.Prediction` says they are. Returns the sizes of inputs and of outputs."""
    encoder = model.encoder
    zsa = _encode_pair(graph, encoder)
    graph.linear(zsa, encoder.next_zs, output="next_zs")
    zs_dim = graph.width
    outcome = graph.linear(zsa, encoder.outcome)
    rest = graph.width - 1
    graph.add("Split", outcome, _sizes(graph, 1, rest), outputs=("termination", "bins"), axis=1)
    _decode_reward(graph, model)
    heads = [_head(graph, zsa, model.value, head) for head in range(HEADS)]
    scale = graph.constant("reward_scale", np.array(model.reward_scale, np.float32))
    graph.add("Mul", graph.add("Concat", *heads, axis=1), scale, output="q")
    inputs = {"zs": zs_dim, "action": action_dim}
    return inputs, {"q": HEADS, "reward": 1, "termination": 1, "next_zs": zs_dim}


def _encode_pair(graph: Graph, encoder: Encoder) -> str:
    """g: zsa, without norm and activation at its end."""
    za = graph.elu(graph.linear("action", encoder.za))
    x = graph.add("Concat", "zs", za, axis=1)
    for layer in (encoder.zsa1, encoder.zsa2):
        x = graph.elu(graph.norm(graph.linear(x, layer)))
    return graph.linear(x, encoder.zsa3)


def _decode_reward(graph: Graph, model: WorldModel) -> None:
    match model.reward_model:
        case TwoHot(bins=bins):
            values = graph.constant("bins_of_reward", bins.cpu().numpy().reshape(-1, 1))
            chances = graph.add("Softmax", "bins", axis=1)
            graph.add("MatMul", chances, values, output="reward")
        case SquaredError():
            graph.add("Identity", "bins", output="reward")
        case other:
            raise AssertionError(f"no way to export a {type(other).__name__}")


def _head(graph: Graph, zsa: str, value: Value, head: int) -> str:
    x = zsa
    for layer in value.layers:
        x = graph.elu(graph.norm(graph.head(x, layer, head)))
    return graph.head(x, value.output, head)


def _sizes(graph: Graph, *sizes: int) -> str:
    return graph.constant("sizes", np.array(sizes, np.int64))
