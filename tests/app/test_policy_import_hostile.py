"""Graphs that are made to harm: refused with a code, and no file is opened for them."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from store.errors import InvalidPolicy
from store.imported_policy import read_manifest
from store.onnx_file import MOST_FIELDS, ORT_FORMAT, require_harmless
from tests.app.bundles import CONTINUOUS, DISCRETE, WEIGHTS, linear_bundle, pixel_bundle
from tests.app.graphs import GOOD, changed
from tests.app.learned import learned
from tests.app.policy_importing import GRAPH


def external(path: str) -> bytes:
    def change(model: Any) -> None:
        (weights,) = model.graph.initializer
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        weights.external_data.add(key="location", value=path)

    return changed(change)


def node(kind: str, **attributes: Any) -> bytes:
    """In the place of the last one."""

    def change(model: Any) -> None:
        last = model.graph.node[-1]
        del last.attribute[:]
        last.op_type, last.domain = kind, attributes.pop("domain", "")
        last.attribute.extend(helper.make_attribute(k, v) for k, v in attributes.items())

    return changed(change)


def sized(*dims: int) -> bytes:
    def change(model: Any) -> None:
        model.graph.initializer[0].dims[:] = dims

    return changed(change)


def external_attribute() -> bytes:
    tensor = numpy_helper.from_array(WEIGHTS, "w")
    tensor.data_location = TensorProto.EXTERNAL
    return node("Constant", value=tensor)


def within() -> bytes:
    return node("Identity", body=onnx.load_model_from_string(GOOD).graph)


def functions() -> bytes:
    made = helper.make_function("", "Tanh", ["a"], ["b"], [], [helper.make_opsetid("", 17)])
    return changed(lambda model: model.functions.append(made))


def sparse() -> bytes:
    return changed(lambda model: model.graph.sparse_initializer.add())


def varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def field(number: int, content: bytes, above: int = 0) -> bytes:
    """`above`: what is in its tag beyond the 32 bits that libraries read."""
    return varint((number << 3 | 2) | above << 32) + varint(len(content)) + content


def overlong_graph() -> bytes:
    """Beside a good one, which such a graph is merged with."""
    graph = onnx.load_model_from_string(node("Loop")).graph.SerializeToString()
    return GOOD + field(7, graph, above=1)


def overlong_external(number: int) -> bytes:
    """Of the field `number` of a tensor that is in the graph beside the others."""
    entry = onnx.StringStringEntryProto(key="location", value="/etc/passwd").SerializeToString()
    hidden = field(13, entry, 1) if number == 13 else varint(14 << 3 | 1 << 32) + b"\x01"
    return GOOD + field(7, field(5, numpy_helper.from_array(WEIGHTS).SerializeToString() + hidden))


def two_kinds() -> bytes:
    """A library passes over an operator's name that is of four bytes without a length."""
    made = helper.make_node("Loop", ["observation"], ["out"]).SerializeToString()
    return GOOD + field(7, field(1, made + varint(4 << 3 | 5) + b"Tanh"))


def shaped_by(*kinds: str, of: str = "observation") -> bytes:
    """One after the other on what is `of`; the last one's second input, and a constant's shape."""

    def change(model: Any) -> None:
        names = [of, *(f"made {index}" for index in range(len(kinds)))]
        for index, kind in enumerate(kinds):
            told = ["weights"] if index == len(kinds) - 1 else []
            made = helper.make_node(kind, [*told, names[index]], [names[index + 1]])
            model.graph.node.insert(index, made)

    return changed(change)


def defined_late() -> bytes:
    def change(model: Any) -> None:
        model.graph.node.insert(0, helper.make_node("Neg", ["policy"], ["early"]))

    return changed(change)


def defined_twice() -> bytes:
    """A constant, once the observation was made of its name."""
    made = helper.make_node("Neg", ["observation"], ["weights"])
    return changed(lambda model: model.graph.node.insert(0, made))


SHAPED = "depends on the observation"
HOSTILE = {
    "reshape": (shaped_by("Cast", "Reshape"), f"'Reshape' makes {SHAPED}"),
    "slice": (shaped_by("ReduceMax", "Cast", "Slice"), f"'Slice' makes {SHAPED}"),
    "split": (shaped_by("Cast", "Identity", "Split"), f"'Split' makes {SHAPED}"),
    "squeeze": (shaped_by("Squeeze"), f"'Squeeze' makes {SHAPED}"),
    "reduce": (shaped_by("Cast", "ReduceMean"), f"'ReduceMean' makes {SHAPED}"),
    "defined late": (defined_late(), "is before what it is computed of"),
    "defined twice": (defined_twice(), "makes what is there already"),
    "graph beyond 32 bits": (overlong_graph(), "a field of no number"),
    "external beyond 32 bits": (overlong_external(13), "a field of no number"),
    "location beyond 32 bits": (overlong_external(14), "a field of no number"),
    "operator of two kinds": (two_kinds(), "a number where a message is to be"),
    "field 0": (GOOD + field(0, b""), "a field of no number"),
    "many dimensions": (sized(*[2**62] * 100_000), "100000 dimensions"),
    "infinite": (sized(*[2**62] * 8), "says that it has more than"),
    "absolute path": (external("/etc/passwd"), "in another file"),
    "relative path": (external("../../secret"), "in another file"),
    "memory address": (external("*/_ORT_MEM_ADDR_/*"), "in another file"),
    "attribute": (external_attribute(), "in another file"),
    "custom operator": (node("Tanh", domain="evil"), "of the domain 'evil'"),
    "contrib operator": (node("Tanh", domain="com.microsoft"), "domain 'com.microsoft'"),
    "unknown operator": (node("Evil"), "the operator 'Evil'"),
    "as large as it is told": (node("ConstantOfShape"), "the operator 'ConstantOfShape'"),
    "random": (node("RandomNormalLike"), "the operator 'RandomNormalLike'"),
    "loop": (node("Loop"), "the operator 'Loop'"),
    "graph in an attribute": (within(), "a graph in it"),
    "functions": (functions(), "functions"),
    "sparse": (sparse(), "sparse tensors"),
    "huge": (sized(10**6, 10**6), "says that it has more than"),
    "negative": (sized(-3, 2), "numbers, and has not so many"),
    "ort format": (GOOD[:4] + ORT_FORMAT + GOOD[8:], "own format"),
    "empty": (b"", "no ONNX"),
    "no graph": (b"\x08\x08", "no ONNX"),
    "pickle": (b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07builtins", "no ONNX"),
    "zip": (b"PK\x03\x04" + bytes(60), "no ONNX"),
    "text": (b"no graph at all", "no ONNX"),
    "cut off": (GOOD[: len(GOOD) // 2], "no ONNX"),
    "no end": (b"\xff" * 40, "no ONNX"),
    "many parts": (b"\x08\x01" * (MOST_FIELDS + 1), "more than"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_it_is_refused_before_anything_opens_it(kind: str) -> None:
    content, said = HOSTILE[kind]
    with pytest.raises(InvalidPolicy) as caught:
        require_harmless(GRAPH, content)
    assert said in caught.value.message
    assert caught.value.param == GRAPH
    assert len(caught.value.message) < 2_000


def test_onnx_runtime_would_read_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a graph that came as bytes, in and below the folder where the process was started, where
    a server may have its key. That its optimiser stumbles over it is no defence: it is off here."""
    (tmp_path / "weights").write_bytes(WEIGHTS.tobytes())
    monkeypatch.chdir(tmp_path)
    content, options = external("weights"), onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (given,) = session.run(["policy"], {"observation": np.eye(3, dtype=np.float32)})
    np.testing.assert_allclose(given, np.tanh(WEIGHTS), rtol=1e-5)
    with pytest.raises(InvalidPolicy, match="in another file"):
        require_harmless(GRAPH, content)


@pytest.mark.parametrize("seed", range(40))
def test_damage_is_refused_or_harmless(seed: int) -> None:
    """Never another exception."""
    rng = np.random.default_rng(seed)
    content = bytearray(learned(DISCRETE).bundle.onnx if seed < 4 else GOOD)
    for place in rng.integers(0, len(content), 1 + seed % 5):
        content[place] = rng.integers(0, 256)
    with suppress(InvalidPolicy):
        require_harmless(GRAPH, bytes(content))


def test_texts_are_no_array(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of numpy, each would be as wide as the longest."""
    told = linear_bundle().manifest
    monkeypatch.setattr(np, "array", lambda _: pytest.fail("numpy sees them"))
    texts = [["a"] * 3, ["a" * 100_000] * 3, ["a"] * 3]
    golden = {**told["golden"], "observations": texts}
    with pytest.raises(InvalidPolicy, match="not finite numbers alone"):
        read_manifest(json.dumps({**told, "golden": golden}).encode())


def test_a_shape_may_be_of_shapes_and_constants() -> None:
    """As exports of PyTorch have them. One that is given beside others may have a default."""
    require_harmless(GRAPH, shaped_by("Shape", "Reshape"))
    require_harmless(GRAPH, shaped_by("Neg", "Shape", "Cast", "Slice"))
    require_harmless(GRAPH, shaped_by("Cast", "Reshape", of="weights"))

    def older(model: Any) -> None:
        of_weights = helper.make_tensor_value_info("weights", TensorProto.FLOAT, WEIGHTS.shape)
        model.graph.input.append(of_weights)
        model.graph.node.insert(0, helper.make_node("Reshape", ["observation", "weights"], ["a"]))

    require_harmless(GRAPH, changed(older))


def test_what_this_project_exports_passes() -> None:
    for bundle in (learned(CONTINUOUS).bundle, learned(DISCRETE).bundle, pixel_bundle()):
        require_harmless("policy.onnx", bundle.onnx)
        if bundle.model is not None:
            require_harmless("model.onnx", bundle.model)
