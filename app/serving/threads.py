"""Whether threads may share a policy's passes.

ONNX Runtime shares an operator's work by how many numbers there are, so what an observation gets
could depend on the others in its pass. It does not for the operators below, whatever the number of
rows and of threads (`tests/app/serving/test_threads.py`). Elu is none of them: policies that an
earlier release exported have it.
"""

from collections.abc import Iterator

from store.protobuf import fields

_SAME_BY_PARTS = """
Clip Conv Div Exp Flatten Gemm Identity LayerNormalization MatMul Max Min Relu Reshape Sub Tanh
"""
SAME_BY_PARTS = frozenset(_SAME_BY_PARTS.split())
# Fields of ModelProto, GraphProto and NodeProto.
_GRAPH, _NODE, _OPERATOR = 7, 1, 4


def is_same_by_parts(graph: bytes) -> bool:
    return operators(graph) <= SAME_BY_PARTS


def operators(graph: bytes) -> frozenset[str]:
    """Raises `store.protobuf.Malformed`."""
    nodes = (node for part in _parts(graph, _GRAPH) for node in _parts(part, _NODE))
    return frozenset(bytes(name).decode() for node in nodes for name in _parts(node, _OPERATOR))


def _parts(message: bytes | memoryview, wanted: int) -> Iterator[memoryview]:
    for number, value in fields(memoryview(message)):
        if number == wanted and isinstance(value, memoryview):
            yield value
