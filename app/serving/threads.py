"""On how many threads a policy's passes run.

Two threads read the weights from two cores, and reading them is most of a small pass. But ONNX
Runtime shares an operator's work by how many numbers there are, so what an observation gets could
depend on the others in its pass. It does not for the operators below, whatever the number of rows
and of threads (`tests/app/serving/test_threads.py`); a policy with any other one has one thread,
as have those that an earlier release exported, with Elu.
"""

from collections.abc import Iterator

from store.protobuf import fields

SAME_BY_PARTS = frozenset(
    [
        "Clip",
        "Conv",
        "Div",
        "Exp",
        "Flatten",
        "Gemm",
        "Identity",
        "LayerNormalization",
        "Max",
        "Min",
        "Relu",
        "Reshape",
        "Sub",
        "Tanh",
    ]
)
# Fields of ModelProto, GraphProto and NodeProto.
_GRAPH, _NODE, _OPERATOR = 7, 1, 4


def threads_for(graph: bytes, most: int) -> int:
    return most if operators(graph) <= SAME_BY_PARTS else 1


def operators(graph: bytes) -> frozenset[str]:
    """Raises `store.protobuf.Malformed`."""
    nodes = (node for part in _parts(graph, _GRAPH) for node in _parts(part, _NODE))
    return frozenset(bytes(name).decode() for node in nodes for name in _parts(node, _OPERATOR))


def _parts(message: bytes | memoryview, wanted: int) -> Iterator[memoryview]:
    for number, value in fields(memoryview(message)):
        if number == wanted and isinstance(value, memoryview):
            yield value
