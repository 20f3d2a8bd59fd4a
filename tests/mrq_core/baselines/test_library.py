"""Stable-Baselines3 taken one step at a time learns what its own `learn` does."""

from typing import Any

import numpy as np
import pytest
import torch

from mrq_core.baselines.library import LibraryLearner
from mrq_core.baselines.session import BaselineSession
from mrq_core.baselines.settings import DQN
from mrq_core.run import TrainingRun
from tests.mrq_core.baselines.runs import RUNS, a_run

LIBRARY = [name for name in RUNS if not name.startswith("q_learning")]


def model_of(session: BaselineSession) -> Any:
    learner = session.learner
    assert isinstance(learner, LibraryLearner)
    return learner.model


def weights(model: Any) -> dict[str, Any]:
    return {name: tensor.clone() for name, tensor in model.policy.state_dict().items()}


def by_its_own_loop(run: TrainingRun) -> dict[str, Any]:
    model = model_of(BaselineSession(run))
    steps = run.total_steps
    if isinstance(run.baseline, DQN):  # whose schedule is a share of all steps
        model.exploration_schedule = _linear(run.baseline.exploration_steps / steps, run.baseline)
        model.exploration_rate = 1.0
    model.learn(steps)
    return weights(model)


def _linear(share: float, settings: DQN) -> Any:
    def schedule(left: float) -> float:
        gone = min(1.0, (1.0 - left) / share)
        return 1.0 + gone * (settings.exploration_last - 1.0)

    return schedule


@pytest.mark.parametrize("name", LIBRARY)
def test_the_same_weights(name: str) -> None:
    # Whole rollouts only: the library's loop makes no other.
    run = a_run(name, total_steps=96)
    expected = by_its_own_loop(run)
    session = BaselineSession(run)
    begun = weights(model_of(session))
    for _ in range(run.total_steps):
        session.advance()
    found = weights(model_of(session))

    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        torch.testing.assert_close(found[key], tensor, rtol=1e-5, atol=1e-6, msg=key)
    assert any(not torch.equal(begun[key], found[key]) for key in begun)


@pytest.mark.parametrize("name", LIBRARY)
def test_the_served_policy_chooses_as_the_library_does(name: str) -> None:
    session = BaselineSession(a_run(name))
    torch.manual_seed(3)
    with torch.no_grad():  # as after much training: outputs that are far from each other
        for parameter in model_of(session).policy.parameters():
            parameter.normal_(0.0, 1.0)
    form = session.environment.form
    rng = np.random.default_rng(1)
    if form.kind == "pixels":
        states = rng.integers(0, 256, (50, *form.input_shape)).astype(np.uint8)
    else:
        states = rng.normal(size=(50, *form.input_shape)).astype(np.float32)

    policy = session.policy()
    ours = policy.act(states, "deterministic", torch.Generator())
    theirs, _ = model_of(session).predict(states, deterministic=True)

    if policy.ending == "logits":
        parts = torch.split(torch.from_numpy(ours), list(policy.components), -1)
        chosen = torch.stack([part.argmax(-1) for part in parts], -1).numpy()
        assert (chosen == theirs.reshape(chosen.shape)).all()
        assert len(np.unique(chosen)) > 1
    else:
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
