"""Jobs of other algorithms than MR.Q: what they are told, and where they are refused."""

from typing import Any

import gymnasium
import pytest
from pydantic import ValidationError

from mrq_core.baselines.q_learning import counts_of
from mrq_core.baselines.settings import PRESETS
from mrq_core.spaces import space_from_gymnasium
from store.algorithm_spec import SETTINGS
from store.baselines import ALGORITHMS, STATES, Algorithm, misfit
from store.catalogue import CATALOGUE
from store.cloning import cloned_spec
from store.estimate import estimate
from store.spec import JobSpec
from store.training_runs import training_run
from tests.store.specs import made, refusal


def algorithm(name: str, environment_id: str = "", **values: Any) -> dict[str, Any]:
    chosen: dict[str, Any] = {"algorithm": {"name": name, "hyperparameters": values}}
    return chosen | ({"environment": {"id": environment_id}} if environment_id else {})


def able(environment_id: str) -> list[Algorithm]:
    entry = CATALOGUE[environment_id]
    return [name for name in ALGORITHMS if misfit(name, entry, entry.form()) is None]


def test_which_algorithm_learns_where() -> None:
    assert able("Pendulum-v1") == ["mrq", "td3", "sac", "ppo"]
    assert able("CartPole-v1") == ["mrq", "dqn", "ppo"]
    assert able("FrozenLake-v1") == ["mrq", "dqn", "ppo", "q_learning"]
    assert able("Taxi-v4") == ["mrq", "q_learning"], "it has action masks"
    assert able("mrq/Catch-v0") == ["mrq", "dqn", "ppo"]


@pytest.mark.parametrize("environment_id", STATES)
def test_states_are_counted_as_the_environment_has_them(environment_id: str) -> None:
    space = space_from_gymnasium(
        gymnasium.make(CATALOGUE[environment_id].gymnasium_id).observation_space
    )
    product = 1
    for n in counts_of(space):
        product *= n
    assert product == STATES[environment_id]


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    (
        algorithm("td3", "CartPole-v1"),
        "algorithm.name",
        "algorithm.name='td3' learns continuous actions, and those of CartPole-v1 are discrete; "
        "allowed for this: mrq, dqn, ppo",
    ),
    (algorithm("sac", "FrozenLake-v1"), "algorithm.name", "allowed for this: mrq, dqn, ppo, q_l"),
    (algorithm("dqn"), "algorithm.name", "learns one discrete choice, and those of Pendulum-v1"),
    (algorithm("q_learning"), "algorithm.name", "learns one discrete choice"),
    (
        algorithm("q_learning", "CartPole-v1"),
        "algorithm.name",
        "needs states that can be counted, as those of FrozenLake-v1",
    ),
    (algorithm("ppo", "Taxi-v4"), "algorithm.name", "knows no action masks, and Taxi-v4 has them"),
    (
        {**algorithm("q_learning"), "environment": {"id": "FrozenLake-v1", "history": 2}},
        "environment.history",
        "counts single states, and history=2",
    ),
    (
        {**algorithm("sac"), "init_from": {"job_id": "job_1"}},
        "init_from",
        "a baseline begins with nothing",
    ),
    (algorithm("sac", zs_dim=8), "algorithm.hyperparameters.zs_dim", "Unexpected keyword"),
    (algorithm("sac", batch_size="8"), "algorithm.hyperparameters.batch_size", "an integer"),
    (algorithm("mrq", tau=8), "algorithm.hyperparameters.tau", "Unexpected keyword"),
    ({"algorithm": {"name": ["sac"]}}, "algorithm.name", "'q_learning'"),
    ({"algorithm": {"name": "sac", "hyperparameters": 3}}, "algorithm.hyperparameters", ""),
]


@pytest.mark.parametrize(("changes", "path", "text"), REFUSED)
def test_refused_with_what_is_allowed(changes: dict[str, Any], path: str, text: str) -> None:
    found, message = refusal(changes)
    assert found == path
    assert text in message


def test_a_value_out_of_bounds_is_named() -> None:
    with pytest.raises(ValidationError, match="batch_size is 1; it must be an integer between 2"):
        made(**algorithm("sac", batch_size=1))


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_filled_in_and_reads_back(name: str, preset: str) -> None:
    place = "FrozenLake-v1" if name in ("dqn", "q_learning") else "Pendulum-v1"
    spec = made(environment={"id": place}, algorithm={"name": name, "preset": preset})

    assert spec.resolved_name() == f"{place.lower()}-{name}"
    assert JobSpec.model_validate(spec.to_json()) == spec
    if name != "mrq":
        assert spec.algorithm.baseline == PRESETS[preset][name]
        assert training_run(spec, "cpu").settings == PRESETS[preset][name]


def test_a_clone_of_another_algorithm_has_its_settings_and_its_name() -> None:
    spec = made(**algorithm("sac", batch_size=64)).to_json()

    other = JobSpec.model_validate(cloned_spec(spec, {"algorithm": {"name": "td3"}}))
    same = JobSpec.model_validate(cloned_spec(spec, {"seed": 4}))

    assert (other.name, other.algorithm.baseline) == ("pendulum-v1-td3", PRESETS["paper"]["td3"])
    assert same.algorithm.baseline == made(**algorithm("sac", batch_size=64)).algorithm.baseline


def test_the_estimate_by_hand() -> None:
    """Pendulum: 3 observations, 1 action; one hidden layer of one unit."""
    ones: dict[str, Any] = {"hidden_dim": 1, "hidden_layers": 1, "batch_size": 2}
    found = estimate(made(**algorithm("td3", **ones)))

    actor, critic = (3 + 1) + (1 + 1), (4 + 1) + (1 + 1)
    assert found.parameters == actor + 2 * critic
    # 1000 steps, each with both observations, one action, a reward and two flags.
    assert found.replay_bytes == 1_000 * 4 * (3 + 3 + 1 + 3)
    table = estimate(made(environment={"id": "Taxi-v4"}, algorithm={"name": "q_learning"}))
    assert (table.parameters, table.replay_bytes) == (500 * 6, 0)
