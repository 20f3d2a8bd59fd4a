"""What a stranger's ONNX graph is made of, looked at before ONNX Runtime opens it.

The server has no `onnx` package, and ONNX Runtime does as it is told: it opens the files that a
tensor names, runs loops, and reads a format of its own that says so in the bytes 4 to 8. So the
graph must have all its numbers in itself, no graphs within it, operators of the list alone, and no
shapes that depend on an observation.
"""

from store.errors import InvalidPolicy
from store.onnx_flow import Flaw, Node, require_fixed_shapes
from store.onnx_operators import OPERATORS
from store.protobuf import Malformed, Value, fields
from store.sizes import more_than

# A policy of the paper's size has some 400 of them.
MOST_FIELDS = 200_000
# Of a tensor; a convolution's weights have four.
MOST_DIMS = 8
# Of ONNX's own format, in which nothing of this can be seen.
ORT_FORMAT = b"ORTM"
ORT_FORMAT_AT = slice(4, 8)
_OWN_DOMAINS = ("", "ai.onnx")
# By the field numbers of onnx.proto.
_MODEL_GRAPH, _MODEL_TRAINING, _MODEL_FUNCTIONS = 7, 20, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_SPARSE = 1, 5, 11, 15
_INPUT_NAME = 1
_NODE_INPUT, _NODE_OUTPUT, _NODE_TYPE, _NODE_ATTRIBUTE, _NODE_DOMAIN = 1, 2, 4, 5, 7
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE = (5, 10), (6, 11), (22, 23)
_TENSOR_DIMS, _TENSOR_NAME, _TENSOR_EXTERNAL, _TENSOR_LOCATION = 1, 8, 13, 14
_ONE_GRAPH = "a graph of these operators alone, without graphs, functions or training in it"
_WITHIN = "all numbers in the file itself"
_SAME_WORK = "nodes in the order of their work, and the same work for every observation"


def require_harmless(file: str, content: bytes) -> None:
    """Raises `InvalidPolicy`. `file`: its name, for the message."""
    if content[ORT_FORMAT_AT] == ORT_FORMAT:
        raise _refused(file, "it is in ONNX Runtime's own format", "ONNX")
    try:
        _Look(file).at_model(memoryview(content))
    except Malformed as error:
        raise _refused(file, f"it is no ONNX: {error}", "an ONNX model") from None


class _Look:
    def __init__(self, file: str) -> None:
        self._file = file
        self._seen = 0
        # Of all that belongs to the graph: its parts may come in any order.
        self._nodes: list[Node] = []
        self._inputs: list[bytes] = []
        self._constants: list[bytes] = []

    def at_model(self, model: memoryview) -> None:
        for number, value in self._fields(model):
            if number in (_MODEL_TRAINING, _MODEL_FUNCTIONS):
                raise self._refused("it has functions or training steps", _ONE_GRAPH)
            if number == _MODEL_GRAPH:
                self._at_graph(value)
        if not self._nodes:
            raise Malformed("there is no graph with a node in it")
        try:
            require_fixed_shapes(self._nodes, self._inputs, self._constants)
        except Flaw as flaw:
            raise self._refused(str(flaw), _SAME_WORK) from None

    def _at_graph(self, graph: Value) -> None:
        for number, value in self._fields(graph):
            if number == _GRAPH_NODE:
                self._at_node(value)
            elif number == _GRAPH_INITIALIZER:
                self._constants.append(self._at_tensor(value))
            elif number == _GRAPH_INPUT:
                self._inputs.append(self._name(value, _INPUT_NAME))
            elif number == _GRAPH_SPARSE:
                raise self._refused("it has sparse tensors", _WITHIN)

    def _at_node(self, node: Value) -> None:
        kind = domain = ""
        names: dict[int, list[bytes]] = {_NODE_INPUT: [], _NODE_OUTPUT: []}
        for number, value in self._fields(node):
            if number in names:
                names[number].append(bytes(_message(value)))
            elif number == _NODE_TYPE:
                kind = _text(value)
            elif number == _NODE_DOMAIN:
                domain = _text(value)
            elif number == _NODE_ATTRIBUTE:
                self._at_attribute(value)
        self._require_known(kind, domain)
        self._nodes.append(Node(kind, tuple(names[_NODE_INPUT]), tuple(names[_NODE_OUTPUT])))

    def _require_known(self, kind: str, domain: str) -> None:
        if domain not in _OWN_DOMAINS:
            what = f"it has an operator {kind[:40]!r} of the domain {domain[:40]!r}"
            raise self._refused(what, "those of ONNX itself")
        if kind not in OPERATORS:
            what = f"it has the operator {kind[:40]!r}"
            raise self._refused(what, ", ".join(sorted(OPERATORS)))

    def _at_attribute(self, attribute: Value) -> None:
        for number, value in self._fields(attribute):
            if number in _ATTRIBUTE_GRAPHS:
                raise self._refused("a node of it has a graph in it", _ONE_GRAPH)
            if number in _ATTRIBUTE_SPARSE:
                raise self._refused("it has sparse tensors", _WITHIN)
            if number in _ATTRIBUTE_TENSORS:
                self._at_tensor(value)

    def _name(self, message: Value, field: int) -> bytes:
        """As it is there: two that are no UTF-8 are not to become one."""
        names = [value for number, value in self._fields(message) if number == field]
        return bytes(_message(names[-1])) if names else b""

    def _at_tensor(self, tensor: Value) -> bytes:
        """Answers its name."""
        name = b""
        sizes: list[int] = []
        for number, value in self._fields(tensor):
            if number == _TENSOR_EXTERNAL or (number == _TENSOR_LOCATION and value != 0):
                raise self._refused("the numbers of a tensor are in another file", _WITHIN)
            if number == _TENSOR_DIMS:
                sizes.append(self._size(value))
            elif number == _TENSOR_NAME:
                name = bytes(_message(value))
        if len(sizes) > MOST_DIMS:
            raise self._refused(f"a tensor has {len(sizes)} dimensions", f"{MOST_DIMS} at most")
        # No type has less than two numbers in a byte.
        most = 2 * len(_message(tensor))
        if more_than(sizes, most):
            what = f"a tensor says that it has more than {most} numbers, and has not so many"
            raise self._refused(what, "as many as it says")
        return name

    def _size(self, value: Value) -> int:
        """A number of its own: several could be packed."""
        if isinstance(value, int):
            return value
        raise self._refused("the sizes of a tensor are packed", "as ONNX writes them")

    def _fields(self, message: Value) -> list[tuple[int, Value]]:
        found = []
        for each in fields(_message(message)):
            self._seen += 1
            if self._seen > MOST_FIELDS:
                what = f"it consists of more than {MOST_FIELDS} parts"
                raise self._refused(what, f"{MOST_FIELDS} at most")
            found.append(each)
        return found

    def _refused(self, what: str, allowed: str) -> InvalidPolicy:
        return _refused(self._file, what, allowed)


def _message(value: Value) -> memoryview:
    if isinstance(value, memoryview):
        return value
    raise Malformed("a number where a message is to be")


def _text(value: Value) -> str:
    return bytes(_message(value)).decode(errors="replace")


def _refused(file: str, what: str, allowed: str) -> InvalidPolicy:
    return InvalidPolicy(f"{file}: {what}; allowed: {allowed}.", param=file, allowed=allowed)
