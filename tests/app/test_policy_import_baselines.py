"""Baselines go from one service to another, too: other operators, other hyperparameters."""

import json

import pytest

from app.serving.trial_process import tried
from mrq_core.baselines.session import BaselineSession
from store.policy_import import read_parts
from tests.mrq_core import kinds
from tests.mrq_core.baselines.runs import RUNS, a_run
from tests.mrq_core.baselines.test_export import export, states_for


@pytest.mark.parametrize("name", RUNS)
def test_it_is_taken(name: str) -> None:
    kinds.register()
    session = BaselineSession(a_run(name))
    bundle = export(session, session.policy(), states_for(session, name)[:4])
    manifest = json.dumps(bundle.manifest).encode()
    parts = read_parts(manifest, bundle.onnx, None, name="x", sha256=None)
    tried(parts.told, parts.onnx, b"", 4)
    assert parts.facts.algorithm == name.partition(",")[0]
