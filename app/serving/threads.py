"""Whether several threads may share a policy's passes.

ONNX Runtime shares an operator's work by how many numbers there are, so what an observation gets
could depend on the others in its pass. It does not for the operators below, where the second factor
of a product is the policy's own (`tests/app/serving/test_threads.py`). Elu is none of them, which
policies have that an earlier release exported; nor is Conv.
"""

from collections.abc import Iterator

from store.protobuf import fields

_SAME_BY_PARTS = """
Clip Exp Gemm Identity LayerNormalization MatMul Max Min Relu Sub Tanh
"""
SAME_BY_PARTS = frozenset(_SAME_BY_PARTS.split())
_PRODUCTS = ("Gemm", "MatMul")
# Fields of ModelProto; of GraphProto; of NodeProto; of AttributeProto; of TensorProto.
_GRAPH = 7
_NODE, _CONSTANT = 1, 5
_INPUT, _OPERATOR, _ATTRIBUTE = 1, 4, 5
_ATTRIBUTE_NAME = 1
_CONSTANT_NAME = 8


def is_same_by_parts(graph: bytes) -> bool:
    """Raises `store.protobuf.Malformed`."""
    (content,) = _parts(graph, _GRAPH)
    constants = {
        name for part in _parts(content, _CONSTANT) for name in _texts(part, _CONSTANT_NAME)
    }
    return all(_is_same(node, constants) for node in _parts(content, _NODE))


def _is_same(node: memoryview, constants: set[str]) -> bool:
    (operator,) = _texts(node, _OPERATOR)
    if operator not in _PRODUCTS:
        return operator in SAME_BY_PARTS
    attributes = [
        name for part in _parts(node, _ATTRIBUTE) for name in _texts(part, _ATTRIBUTE_NAME)
    ]
    _, factor, *_ = _texts(node, _INPUT)
    return factor in constants and "transA" not in attributes


def _texts(message: memoryview, wanted: int) -> list[str]:
    return [bytes(part).decode() for part in _parts(message, wanted)]


def _parts(message: bytes | memoryview, wanted: int) -> Iterator[memoryview]:
    for number, value in fields(memoryview(message)):
        if number == wanted and isinstance(value, memoryview):
            yield value
