"""A stranger's policy is tried by a process of its own, which may die."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.serving import trial, trial_process
from store.errors import InvalidPolicy
from store.policy_import import PolicyParts, read_parts
from tests.app.bundles import CONTINUOUS, WEIGHTS
from tests.app.graphs import changed
from tests.app.learned import learned
from tests.app.policy_importing import GRAPH, MANIFEST, files_of, policy_files


def parts(onnx: bytes | None = None) -> PolicyParts:
    files = policy_files()
    return read_parts(files[MANIFEST], onnx or files[GRAPH], None, name="x", sha256=None)


def renamed(which: str, name: str) -> bytes:
    def change(model: Any) -> None:
        (getattr(model.graph, which)[0]).name = name
        for each in model.graph.node:
            for names in (each.input, each.output):
                names[:] = [name if n == "policy" else n for n in names]

    return changed(change)


def shaped(which: str, *dims: Any) -> bytes:
    def change(model: Any) -> None:
        one = getattr(model.graph, which)[0]
        made = helper.make_tensor_value_info(one.name, TensorProto.FLOAT, dims)
        one.CopyFrom(made)

    return changed(change)


def batch_of_three() -> bytes:
    """It makes rows of its own."""

    def change(model: Any) -> None:
        shape = numpy_helper.from_array(np.array([3, 2], np.int64), "shape")
        model.graph.initializer.append(shape)
        model.graph.node[-1].output[0] = "t"
        model.graph.node.append(helper.make_node("Reshape", ["t", "shape"], ["policy"]))

    return changed(change)


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        (renamed("output", "other"), "cannot open|needed"),
        (shaped("input", "B", 4), "cannot open it"),
        (shaped("input", 3, 3), "no rows"),
        (shaped("input", "B"), "no rows|cannot open"),
        (batch_of_three(), "no rows"),
    ],
)
def test_a_graph_of_another_form(graph: bytes, said: str) -> None:
    told = parts(graph)
    with pytest.raises(trial_process.NotServed, match=said):
        trial_process.tried(told.told, told.onnx, b"", 8)


def test_a_process_that_dies_of_a_graph_takes_nobody_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dies = tmp_path / "dies.py"
    dies.write_text(f"#!{sys.executable}\nimport os\nos.kill(os.getpid(), 11)\n")
    dies.chmod(0o700)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(dies))
        with pytest.raises(InvalidPolicy, match=r"died of it \(status -11\)"):
            trial.try_policy(parts(), 8)
    with monkeypatch.context() as patched:
        patched.setattr(trial, "SECONDS", 0.001)
        with pytest.raises(InvalidPolicy, match=r"takes more than 0.001 s"):
            trial.try_policy(parts(), 8)


@pytest.mark.parametrize(
    "told", ["", "nonsense", "[" * 100_000, "[]", "{}", '{"file": 1, "why": 2}']
)
def test_an_odd_answer_is_that_of_a_dead_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: str
) -> None:
    odd = tmp_path / "odd.py"
    odd.write_text(f"#!{sys.executable}\nimport sys\nsys.stdin.buffer.read()\nprint({told!r})\n")
    odd.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(odd))
    with pytest.raises(InvalidPolicy, match="told nothing that can be read"):
        trial.try_policy(parts(), 8)


def outer_sum(width: int) -> bytes:
    """(width, 1) + (1, width): 80 kB each, that make 1.6 GB of each other."""
    side = np.ones((width, 1), np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["column", "row"], ["square"]),
            helper.make_node("ReduceSum", ["square"], ["sum"], keepdims=0),
            helper.make_node("MatMul", ["observation", "weights"], ["u"]),
            helper.make_node("Mul", ["u", "sum"], ["policy"]),
        ],
        "policy",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["B", 3])],
        [helper.make_tensor_value_info("policy", TensorProto.FLOAT, ["B", 2])],
        [
            numpy_helper.from_array(side, "column"),
            numpy_helper.from_array(side.T.copy(), "row"),
            numpy_helper.from_array(WEIGHTS, "weights"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    written: bytes = model.SerializeToString()
    return written


def test_a_graph_that_takes_gigabytes_is_refused_by_its_process() -> None:
    with pytest.raises(InvalidPolicy) as caught:
        trial.try_policy(parts(outer_sum(20_000)), 8)
    assert caught.value.param == GRAPH
    assert "ONNX Runtime cannot" in caught.value.message


def test_the_trial_has_no_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MRQ_API_KEY", "a-secret-of-the-server")
    says = tmp_path / "says.py"
    says.write_text(
        f"#!{sys.executable}\nimport json, os\n"
        "print(json.dumps({'file': os.getcwd(), 'why': ' '.join(sorted(os.environ))}))\n"
    )
    says.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(says))
    with pytest.raises(InvalidPolicy) as caught:
        trial.try_policy(parts(), 8)
    assert "MRQ" not in caught.value.message
    assert caught.value.message.startswith("/:")


def test_a_good_one_passes() -> None:
    trial.try_policy(parts(), 256)
    bundle = learned(CONTINUOUS).bundle
    files = files_of(bundle)
    whole = read_parts(files[MANIFEST], files[GRAPH], bundle.model, name="x", sha256=None)
    trial_process.tried(whole.told, whole.onnx, whole.model or b"", 256)
