"""What follows from a field follows anew where a clone has another one there."""

from typing import Any

import pytest

from store.cloning import cloned_spec
from store.spec import JobSpec


def resolved(environment_id: str, **parts: Any) -> dict[str, Any]:
    body = {"environment": {"id": environment_id}, "budget": {"total_steps": 20_000}, **parts}
    return JobSpec.model_validate(body).to_json()


def clone(spec: dict[str, Any], environment_id: str) -> JobSpec:
    overrides = {"environment": {"id": environment_id}}
    return JobSpec.model_validate(cloned_spec(spec, overrides))


@pytest.mark.parametrize(
    ("before", "after", "epsilon"),
    [
        ("Atari/Pong-v5", "Pendulum-v1", 0.0),
        ("Atari/Pong-v5", "CartPole-v1", 0.0),
        ("Pendulum-v1", "Atari/Pong-v5", 0.001),
    ],
)
def test_the_share_of_random_actions_is_that_of_the_new_environment(
    before: str, after: str, epsilon: float
) -> None:
    assert clone(resolved(before), after).evaluation.epsilon == epsilon


def test_a_share_that_was_asked_for_stays() -> None:
    asked = resolved("Atari/Pong-v5", evaluation={"epsilon": 0.05})
    assert clone(asked, "CartPole-v1").evaluation.epsilon == 0.05


def test_a_clone_that_learns_in_an_environment_keeps_nothing_of_how_it_learnt_from_a_log() -> None:
    spec = resolved("CartPole-v1")
    spec["algorithm"] |= {"mode": "offline", "offline": {"alpha": 2.5}}
    overrides = {"environment": {"id": "Pendulum-v1"}, "algorithm": {"mode": "online"}}
    cloned = JobSpec.model_validate(cloned_spec(spec, overrides))
    assert (cloned.algorithm.mode, cloned.algorithm.offline) == ("online", None)
