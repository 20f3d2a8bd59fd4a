import hashlib
from typing import Any

import pytest

from store.database import Database
from store.manifests import described, first_golden
from store.results import EvaluationResult, PolicyBundle, record_evaluation
from store.settings import Settings
from tests.store.acting import running

REST: dict[str, Any] = {
    "format_version": 1,
    "exploration_noise": 0.1,
    "observation_space": {"type": "dict", "spaces": [["z", {"low": ["-inf"]}], ["a", {}]]},
    "large": 2**63 - 1,
}
GOLDEN = {"observations": [[0.5, -1.0], [0.0, 2.0]], "outputs": [[1.0], [0.0]]}


@pytest.fixture
def checkpoint(database: Database, settings: Settings) -> str:
    result = EvaluationResult(step=7, action_mode="sample", returns=[1.0], lengths=[1], seeds=[0])
    bundle = PolicyBundle(onnx=b"graph", manifest=REST | {"golden": GOLDEN})
    return record_evaluation(database, running(database, settings), result, bundle, keep=2)


def test_a_manifest_without_its_golden_pairs(database: Database, checkpoint: str) -> None:
    with database.read() as session:
        (found,) = described(session, {checkpoint, "ckpt_none"}).items()
    identity, shown = found
    assert (identity, shown.step, shown.manifest) == (checkpoint, 7, REST)
    assert shown.sha256 == hashlib.sha256(b"graph").hexdigest()


def test_the_first_golden_observation(database: Database, checkpoint: str) -> None:
    with database.read() as session:
        assert first_golden(session, checkpoint) == [0.5, -1.0]
