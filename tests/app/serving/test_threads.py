"""What an observation gets does not depend on the others in its pass, nor on the threads."""

from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import helper
from torch import nn

from app.serving.bundle import open_session
from app.serving.threads import is_same_by_parts
from mrq_core.config import PRESETS
from mrq_core.graph import Graph
from mrq_core.spaces import Floats
from tests.app.bundles import CONTINUOUS, DISCRETE
from tests.app.learned import learned

INPUTS = 3
WIDTH = 512  # the paper's: narrower ones are never shared between threads
THREADS = (2, 3, 4)


def drawn(activation: Callable[[Graph, str], str]) -> bytes:
    torch.manual_seed(0)
    graph = Graph()
    x = activation(graph, graph.linear("observation", nn.Linear(INPUTS, WIDTH)))
    graph.linear(
        activation(graph, graph.linear(x, nn.Linear(WIDTH, WIDTH))),
        nn.Linear(WIDTH, 6),
        output="policy",
    )
    built = graph.build("policy", {"observation": INPUTS}, {"policy": 6})
    model = helper.make_model(built, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    serialized: bytes = model.SerializeToString()
    return serialized


def clipped(graph: Graph, x: str) -> str:
    ends = [graph.constant(n, np.array(v, np.float32)) for n, v in (("low", -1), ("high", 1))]
    return graph.add("Clip", x, *ends)


def multiplied(graph: Graph, x: str) -> str:
    weights = np.random.default_rng(1).standard_normal((WIDTH, WIDTH)) / 20
    return graph.add("MatMul", x, graph.constant("weights", weights.astype(np.float32)))


GRAPHS: dict[str, Callable[[], bytes]] = {
    "continuous": lambda: learned(CONTINUOUS, PRESETS["paper"]).bundle.onnx,
    "discrete": lambda: learned(DISCRETE, PRESETS["paper"]).bundle.onnx,
    "tanh": lambda: drawn(lambda graph, x: graph.add("Tanh", x)),
    "clip": lambda: drawn(clipped),
    "product": lambda: drawn(multiplied),
}


def run(session: onnxruntime.InferenceSession, rows: Floats) -> Floats:
    outputs: Floats = session.run(["policy"], {"observation": rows})[0]
    return outputs


def sizes_that_differ(graph: bytes, sizes: list[int]) -> dict[int, list[int]]:
    """By number of threads, the numbers of rows with which an answer is another one than alone on
    one thread."""
    alone = open_session(graph)
    width = alone.get_inputs()[0].shape[1]
    rows = np.random.default_rng(0).standard_normal((max(sizes), width)).astype(np.float32)
    expected = np.concatenate([run(alone, row[np.newaxis]) for row in rows])
    found = {}
    for threads in THREADS:
        session = open_session(graph, threads)
        found[threads] = [
            size for size in sizes if not np.array_equal(run(session, rows[:size]), expected[:size])
        ]
    return found


@pytest.mark.parametrize("kind", GRAPHS)
def test_threads_and_rows_change_no_bit(kind: str) -> None:
    graph = GRAPHS[kind]()
    sizes = [*range(1, 66), 100, 128, 200, 256]

    assert is_same_by_parts(graph)
    assert sizes_that_differ(graph, sizes) == {threads: [] for threads in THREADS}


def test_elu_is_not_shared_for_its_bits_do_depend_on_them() -> None:
    graph = drawn(lambda graph, x: graph.add("Elu", x))

    assert not is_same_by_parts(graph)
    assert any(sizes_that_differ(graph, list(range(1, 66))).values())


@pytest.mark.parametrize("operator", ["Conv", "Softmax"])
def test_what_was_not_shown_to_be_the_same_is_not_shared(operator: str) -> None:
    assert not is_same_by_parts(drawn(lambda graph, x: graph.add(operator, x)))


def turned(graph: Graph, x: str) -> str:
    """The observations are the second factor."""
    weights = graph.constant("weights", np.eye(WIDTH, dtype=np.float32))
    return graph.add("Gemm", weights, x, transB=1)


def turned_back(graph: Graph, x: str) -> str:
    weights = graph.constant("weights", np.eye(WIDTH, dtype=np.float32))
    return graph.add("Gemm", x, weights, transA=1)


@pytest.mark.parametrize("product", [turned, turned_back])
def test_a_product_that_mixes_observations_is_not_shared(
    product: Callable[[Graph, str], str],
) -> None:
    assert not is_same_by_parts(drawn(product))
