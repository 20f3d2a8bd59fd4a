import json
import math
from dataclasses import asdict, fields
from typing import Any

import pytest
from pydantic import ValidationError

from mrq_core.config import BOUNDS, PRESETS, Hyperparameters
from store.spec import JobSpec
from tests.store.specs import around, environment, hyperparameters, made, refusal

# ---- what is filled in


def test_every_default_is_filled_in() -> None:
    assert made().to_json() == {
        "name": "pendulum-v1-mrq",
        "labels": {},
        "priority": 0,
        "environment": {
            "id": "Pendulum-v1",
            "kwargs": {"g": 10.0},
            "max_episode_steps": 200,
            "action_repeat": 1,
            "history": 1,
            "limit_terminates": False,
            "observation": {"kind": "vector", "shape": [3]},
            "dataset_id": None,
            "dataset": None,
        },
        "algorithm": {
            "name": "mrq",
            "mode": "online",
            "preset": "paper",
            "hyperparameters": asdict(PRESETS["paper"]),
            "offline": None,
        },
        "budget": {"total_steps": 1000, "max_episodes": None, "max_seconds": None},
        "evaluation": {
            "every_steps": 50,
            "episodes": 10,
            "action_mode": "deterministic",
            "epsilon": 0.0,
        },
        "checkpointing": {"every_steps": 100, "keep": 2, "ttl_seconds": None},
        "early_stopping": {"target_return": None},
        "limits": {"max_runtime_seconds": None, "no_progress_seconds": None},
        "seed": 0,
    }


def test_what_is_resolved_resolves_to_itself() -> None:
    spec = made(algorithm={"preset": "small", "hyperparameters": {"discount": 0.98}})
    again = JobSpec.model_validate(json.loads(json.dumps(spec.to_json())))
    assert again == spec
    assert again.sha256() == spec.sha256()


def test_equal_requests_have_one_hash() -> None:
    assert made().sha256() == made(seed=0, algorithm={"preset": "paper"}).sha256()
    assert made().sha256() != made(seed=1).sha256()


@pytest.mark.parametrize(
    ("total", "evaluation", "checkpointing"),
    [(1, 1, 1), (19, 1, 1), (40, 2, 4), (100_000, 5_000, 10_000), (10**8, 50_000, 50_000)],
)
def test_default_intervals(total: int, evaluation: int, checkpointing: int) -> None:
    """Never more than 2000 of them: what the default would be refused for must not be it."""
    spec = made(budget={"total_steps": total})
    assert spec.evaluation.every_steps == evaluation
    assert spec.checkpointing.every_steps == checkpointing


def test_overrides_lie_over_the_preset() -> None:
    spec = made(algorithm={"preset": "small", "hyperparameters": {"zs_dim": 77, "discount": 1}})
    expected = asdict(PRESETS["small"]) | {"zs_dim": 77, "discount": 1.0}
    assert asdict(spec.algorithm.hyperparameters) == expected


def test_the_bounds_themselves_are_allowed() -> None:
    for name, bounds in BOUNDS.items():
        kind = {field.name: field.type for field in fields(Hyperparameters)}[name]
        for bound in bounds:
            value = int(bound) if kind == "int" else bound
            # The buffer must hold more than the warm-up.
            room = {"warmup_steps": {"buffer_size": 10**7}, "buffer_size": {"warmup_steps": 1}}
            spec = made(**hyperparameters(**{name: value}, **room.get(name, {})))
            assert getattr(spec.algorithm.hyperparameters, name) == value


def test_beyond_the_bounds_is_refused_by_name() -> None:
    for name, bounds in BOUNDS.items():
        kind = {field.name: field.type for field in fields(Hyperparameters)}[name]
        step = 1 if kind == "int" else 1e-9
        for value in (bounds.minimum - step, bounds.maximum * (1 + 1e-9) + step):
            given = math.floor(value) if kind == "int" else value
            given = given + 1 if kind == "int" and given == bounds.maximum else given
            _, message = refusal(hyperparameters(**{name: given}))
            assert f"{name} is" in message
            assert f"between {bounds.minimum} and {bounds.maximum}" in message


# ---- what is refused

TOO_LONG = "a" * 129
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    # unknown keys, at each level
    ({"sead": 1}, "sead", "not permitted"),
    ({"budget": {"total_steps": 1, "x": 1}}, "budget.x", "not permitted"),
    ({"environment": {"id": "Pendulum-v1", "x": 1}}, "environment.x", "not permitted"),
    ({"algorithm": {"x": 1}}, "algorithm.x", "not permitted"),
    (hyperparameters(zs_dims=1), "algorithm.hyperparameters.zs_dims", "Unexpected"),
    ({"evaluation": {"x": 1}}, "evaluation.x", "not permitted"),
    ({"checkpointing": {"x": 1}}, "checkpointing.x", "not permitted"),
    # wrong types; nothing is coerced
    ({"seed": "1"}, "seed", "valid integer"),
    ({"seed": 1.0}, "seed", "valid integer"),
    ({"seed": True}, "seed", "valid integer"),
    ({"seed": None}, "seed", "valid integer"),
    ({"name": 5}, "name", "valid string"),
    ({"labels": ["a"]}, "labels", "valid dictionary"),
    ({"labels": {"a": 1}}, "labels.a", "valid string"),
    ({"environment": "Pendulum-v1"}, "environment", "valid dictionary"),
    ({"environment": None}, "environment", "valid dictionary"),
    ({"algorithm": "mrq"}, "algorithm", "valid dictionary"),
    ({"algorithm": {"hyperparameters": [1]}}, "algorithm.hyperparameters", ""),
    ({"algorithm": {"preset": "huge"}}, "algorithm.preset", "'paper' or 'small'"),
    ({"algorithm": {"preset": ["paper"]}}, "algorithm.preset", "'paper' or 'small'"),
    ({"algorithm": {"name": "rainbow"}}, "algorithm.name", "'mrq', 'dqn'"),
    (hyperparameters(zs_dim="512"), "algorithm.hyperparameters.zs_dim", "must be an integer"),
    (hyperparameters(zs_dim=True), "algorithm.hyperparameters.zs_dim", "must be an integer"),
    (hyperparameters(zs_dim=256.0), "algorithm.hyperparameters.zs_dim", "must be an integer"),
    (hyperparameters(zs_dim=None), "algorithm.hyperparameters.zs_dim", "must be an integer"),
    (hyperparameters(discount="0.9"), "algorithm.hyperparameters.discount", "must be a number"),
    (hyperparameters(discount=True), "algorithm.hyperparameters.discount", "must be a number"),
    (
        hyperparameters(zero_reward_guard=1),
        "algorithm.hyperparameters.zero_reward_guard",
        "must be true or false",
    ),
    ({"evaluation": {"action_mode": "greedy"}}, "evaluation.action_mode", "'deterministic'"),
    # no numbers, and numbers that are none
    (hyperparameters(discount=math.nan), "algorithm.hyperparameters", "discount is nan"),
    (hyperparameters(value_lr=math.inf), "algorithm.hyperparameters", "value_lr is inf"),
    (environment(g=math.nan), "environment.kwargs.g", "finite number"),
    (environment(g=math.inf), "environment.kwargs.g", "finite number"),
    # bounds
    ({"budget": {"total_steps": 0}}, "budget.total_steps", "greater than or equal to 1"),
    ({"budget": {"total_steps": -5}}, "budget.total_steps", "greater than or equal to 1"),
    ({"budget": {"total_steps": 10**8 + 1}}, "budget.total_steps", "less than or equal to 100000"),
    ({"budget": {"total_steps": 10**18}}, "budget.total_steps", "less than or equal to 100000"),
    ({"budget": {"total_steps": 1e18}}, "budget.total_steps", "less than or equal to 100000"),
    ({"budget": {"total_steps": 1.5}}, "budget.total_steps", "valid integer"),
    ({"budget": {"total_steps": math.inf}}, "budget.total_steps", "valid integer"),
    ({"budget": {"total_steps": "1000"}}, "budget.total_steps", "valid integer"),
    ({"budget": {"total_steps": 10**400}}, "budget.total_steps", ""),
    ({"budget": {}}, "budget.total_steps", "required"),
    ({"seed": -1}, "seed", "greater than or equal to 0"),
    ({"seed": 2**31}, "seed", "less than or equal to 2147483647"),
    ({"evaluation": {"episodes": 0}}, "evaluation.episodes", "greater than or equal to 1"),
    ({"evaluation": {"episodes": 101}}, "evaluation.episodes", "less than or equal to 100"),
    ({"evaluation": {"every_steps": 0}}, "evaluation.every_steps", "greater than or equal to 1"),
    ({"checkpointing": {"keep": 0}}, "checkpointing.keep", "greater than or equal to 1"),
    ({"checkpointing": {"keep": 101}}, "checkpointing.keep", "less than or equal to 100"),
    (hyperparameters(zs_dim=10**18), "algorithm.hyperparameters", "zs_dim is 1000000000000000000"),
    (hyperparameters(buffer_size=5000), "algorithm.hyperparameters", "warmup_steps is 10000"),
    # environments: only what stands in the catalogue, and never a path
    (environment("os:system"), "environment.id", "is not an environment of this service"),
    (environment("evil:Env-v0"), "environment.id", "is not an environment of this service"),
    (environment("evil:Pendulum-v1"), "environment.id", "is not an environment of this service"),
    (environment("pendulum-v1"), "environment.id", "is not an environment of this service"),
    (environment("ALE/Pong-v5"), "environment.id", "is not an environment of this service"),
    (environment(""), "environment.id", "is not an environment of this service"),
    (environment("x" * 129), "environment.id", "at most 128"),
    (environment("Ant-v5", xml_file="/etc/passwd"), "environment.kwargs.xml_file", "not permitted"),
    (environment("FrozenLake-v1", desc=["SG"]), "environment.kwargs.desc", "not permitted"),
    (environment(render_mode="human"), "environment.kwargs.render_mode", "not permitted"),
    (
        environment(max_episode_steps=1),
        "environment.kwargs.max_episode_steps",
        "not permitted",
    ),
    (environment(g="9"), "environment.kwargs.g", "valid number"),
    (environment(g=True), "environment.kwargs.g", "valid number"),
    (environment(g=10**400), "environment.kwargs.g", ""),
    (environment(g=-1), "environment.kwargs.g", "greater than or equal to 0; kwargs of Pendulum"),
    (
        {"environment": {"id": "Pendulum-v1", "kwargs": {str(n): n for n in range(33)}}},
        "environment.kwargs",
        "at most 32",
    ),
    # what surrounds the environment
    (around(max_episode_steps=0), "environment.max_episode_steps", "greater than or equal to 1"),
    (around(max_episode_steps=10**6 + 1), "environment.max_episode_steps", "equal to 1000000"),
    (around(max_episode_steps=1.0), "environment.max_episode_steps", "valid integer"),
    (around(action_repeat=0), "environment.action_repeat", "greater than or equal to 1"),
    (around(action_repeat=65), "environment.action_repeat", "less than or equal to 64"),
    (around(action_repeat=None), "environment.action_repeat", "valid integer"),
    (around(history=0), "environment.history", "greater than or equal to 1"),
    (around(history=17), "environment.history", "less than or equal to 16"),
    (around(history=True), "environment.history", "valid integer"),
    (around(limit_terminates=1), "environment.limit_terminates", "valid boolean"),
    (around(observation=[3]), "environment.observation", "valid dictionary"),
    (around(observation={"kind": "vector"}), "environment.observation.shape", "required"),
    (
        around(observation={"kind": "text", "shape": [3]}),
        "environment.observation.kind",
        "'vector' or 'pixels'",
    ),
    # names and labels
    ({"name": ""}, "name", "at least 1"),
    ({"name": TOO_LONG}, "name", "at most 128"),
    ({"name": "a b"}, "name", "pattern"),
    ({"name": "a\n"}, "name", "pattern"),
    ({"name": "a:3"}, "name", "pattern"),
    ({"name": "../x"}, "name", "pattern"),
    ({"name": "-x"}, "name", "pattern"),
    ({"name": "é"}, "name", "pattern"),
    ({"name": "pol_x"}, "name", "ids begin so"),
    ({"name": "job_x"}, "name", "ids begin so"),
    ({"name": "ckpt_x"}, "name", "ids begin so"),
    ({"labels": {"": "x"}}, "labels..[key]", "at least 1"),
    ({"labels": {"a b": "x"}}, "labels.a b.[key]", "pattern"),
    ({"labels": {"a" * 65: "x"}}, f"labels.{'a' * 65}.[key]", "at most 64"),
    ({"labels": {"a": "x" * 257}}, "labels.a", "at most 256"),
    ({"labels": {"a": "x\x00y"}}, "labels.a", "pattern"),
    ({"labels": {"a": "x\ny"}}, "labels.a", "pattern"),
    ({"labels": {str(n): "x" for n in range(17)}}, "labels", "at most 16"),
]


@pytest.mark.parametrize(("changes", "path", "text"), REFUSED, ids=lambda value: str(value)[:40])
def test_bad_input_is_refused_and_its_field_named(
    changes: dict[str, Any], path: str, text: str
) -> None:
    found, message = refusal(changes)
    assert found == path
    assert text in message


@pytest.mark.parametrize("part", ["evaluation", "checkpointing"])
def test_too_many_of_them_are_refused(part: str) -> None:
    budget = {"total_steps": 1_000_001}
    path, message = refusal({"budget": budget, part: {"every_steps": 500}})
    assert path == f"{part}.every_steps"
    assert "allowed: 2000, so at least 501 steps" in message
    assert made(budget=budget, **{part: {"every_steps": 501}})


def test_steps_may_be_written_as_people_write_them() -> None:
    spec = made(budget={"total_steps": 1e6}, evaluation={"every_steps": 1e4})
    assert spec == made(budget={"total_steps": 1_000_000}, evaluation={"every_steps": 10_000})
    assert type(spec.budget.total_steps) is int


def test_a_job_that_learns_nothing_is_warned_of() -> None:
    """10 000 random steps come first."""
    (warning,) = made(budget={"total_steps": 10_000}).warnings()
    assert "budget.total_steps=10000 end within the 10000 random steps" in warning
    assert made(budget={"total_steps": 10_001}).warnings() == []
    assert made(algorithm={"preset": "small"}, budget={"total_steps": 1001}).warnings() == []


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"max_episode_steps": 200}, None),
        ({"max_episode_steps": 66, "action_repeat": 3}, None),
        ({"action_repeat": 3}, None),
        ({"max_episode_steps": 100, "action_repeat": 3}, "=100 with action_repeat=3 are 300 steps"),
        ({"max_episode_steps": 201}, "=201 with action_repeat=1 are 201 steps of Pendulum-v1"),
    ],
)
def test_episodes_beyond_the_own_limit_are_warned_of(asked: dict[str, Any], told: str) -> None:
    """Its own is 200. So it is told when a resolved spec is given another action_repeat."""
    budget = {"total_steps": 10_001}
    warnings = made(environment={"id": "Pendulum-v1"} | asked, budget=budget).warnings()
    if told is None:
        assert warnings == []
    else:
        (warning,) = warnings
        assert f"environment.max_episode_steps{told}" in warning
        assert "its own limit is 200" in warning


def test_names_and_labels_that_are_fine() -> None:
    labels = {"team": "", "a.b/c_d-e": "größer 😀 \\ \" '", "0": "x" * 256}
    spec = made(name="A" + "1._-" * 31, labels=labels)
    assert spec.to_json()["labels"] == labels


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        # mypy forbids it too; here it is done all the same.
        made().seed = 5  # type: ignore[misc]


@pytest.mark.parametrize("total", [1, 19, 20, 10_000_000, 10_000_001, 33_333_333, 100_000_000])
def test_what_is_resolved_is_accepted_again_as_it_stands(total: int) -> None:
    spec = JobSpec.model_validate(
        {"environment": {"id": "Pendulum-v1"}, "budget": {"total_steps": total}}
    )
    assert JobSpec.model_validate(spec.to_json()) == spec
    assert spec.evaluation.every_steps is not None
    assert total / spec.evaluation.every_steps <= 2_000


def test_a_budget_that_ends_within_the_warm_up_is_told() -> None:
    def warnings(total: int) -> list[str]:
        budget = {"total_steps": total}
        body = {"environment": {"id": "Pendulum-v1"}, "budget": budget}
        return JobSpec.model_validate(body).warnings()

    assert warnings(10_001) == []
    (warning,) = warnings(10_000)
    assert "budget.total_steps=10000" in warning
    assert "warmup_steps" in warning
