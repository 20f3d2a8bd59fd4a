"""Every entry against the environment it describes, really built."""

import importlib
import inspect
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from pydantic_core import PydanticUndefined

from mrq_core.environments import Environment, Frame, Outcome, make_environment
from mrq_core.errors import EnvironmentFault
from store.catalogue import CATALOGUE, EnvironmentEntry, Kwargs
from store.spec import JobSpec


def build(entry: EnvironmentEntry, kwargs: dict[str, Any]) -> "gymnasium.Env[Any, Any]":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what environments' own imports deprecate
        return make_environment(entry.gymnasium_id, kwargs, entry.max_episode_steps)


def defaults(entry: EnvironmentEntry) -> dict[str, Any]:
    environment = {"id": entry.id}
    if entry.dataset_role:  # without its file it makes data of its own
        environment["dataset_id"] = "any"
    mode = "offline" if entry.dataset_role == "transitions" else "online"
    spec = JobSpec.model_validate(
        {
            "environment": environment,
            "algorithm": {"mode": mode},
            "budget": {"total_steps": 1},
        }
    )
    return spec.environment.kwargs


EVERY = pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE)
# Areas of which one class makes all games: what it does with kwargs is seen in one of them.
ALIKE = frozenset({"Atari", "MinAtar"})
WITH_KWARGS = [
    entry
    for entry in CATALOGUE.values()
    if entry.kwargs.model_fields
    and (entry.id.split("/")[0] not in ALIKE or entry.id.split("/")[1].startswith("Breakout"))
]
EVERY_WITH_KWARGS = pytest.mark.parametrize("entry", WITH_KWARGS, ids=[e.id for e in WITH_KWARGS])
STEPS = 50
LOG = CATALOGUE["mrq/Logged-v0"]


# All games of Atari are made alike, and each loads its ROM anew at every reset: a few are played.
# So are the pictures of the control suite, of which each costs a processor what many steps cost.
ALIKE_AREAS = {"atari": "PQ", "dm_control pixels": "p"}  # by first letter, which ones are played


def _is_played(entry: EnvironmentEntry) -> bool:
    letters = ALIKE_AREAS.get(entry.area)
    return letters is None or entry.id.split("/")[1][0] in letters


PLAYED = [entry for entry in CATALOGUE.values() if entry is not LOG and _is_played(entry)]
NOT_PLAYED = [
    entry for entry in CATALOGUE.values() if entry.area == "atari" and entry not in PLAYED
]
SEEN = [entry for entry in CATALOGUE.values() if entry.area == "dm_control pixels"]


@pytest.mark.parametrize("entry", SEEN, ids=[entry.id for entry in SEEN])
def test_a_task_that_is_seen_is_the_one_whose_state_is_told(entry: EnvironmentEntry) -> None:
    importlib.import_module(entry.module)
    made = gymnasium.spec(entry.id)
    state = CATALOGUE[entry.id.replace("dm_control_pixels/", "dm_control/")]
    assert f"dm_control/{made.kwargs['domain']}-{made.kwargs['task']}-v0" == state.id
    assert (entry.action_dim, entry.max_episode_steps) == (state.action_dim, made.max_episode_steps)


@pytest.mark.parametrize("entry", NOT_PLAYED, ids=[entry.id for entry in NOT_PLAYED])
def test_a_game_has_the_spaces_of_its_entry(entry: EnvironmentEntry) -> None:
    env = build(entry, {})
    actions, frame = env.action_space, env.observation_space
    assert isinstance(actions, gymnasium.spaces.Discrete)
    assert (actions.n, (1, *(frame.shape or ()))) == (entry.action_dim, entry.frame_shape)
    env.close()


def test_a_log_has_the_spaces_of_its_entry_and_is_not_acted_in() -> None:
    environment = Environment(LOG.gymnasium_id, defaults(LOG), LOG.max_episode_steps)
    assert environment.form == LOG.form()
    assert environment.codec.components == LOG.action_components
    environment.reset(0, 0)
    with pytest.raises(EnvironmentFault, match="a log cannot be acted in"):
        environment.step(np.int64(0), 1)
    environment.close()


@pytest.mark.parametrize("entry", PLAYED, ids=[entry.id for entry in PLAYED])
def test_an_entry_is_its_environment(entry: EnvironmentEntry) -> None:
    """As training makes and sees it: spaces, masks, a seed that means something, and some steps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        environment = Environment(
            entry.gymnasium_id,
            defaults(entry),
            entry.max_episode_steps,
            limit_terminates=entry.limit_terminates,
        )
        first = played(environment, STEPS)
        assert played(environment, STEPS // 5) == first[: STEPS // 5 + 1]
    form = environment.form
    assert (form.kind, form.frame_shape) == (entry.observation_kind, entry.frame_shape)
    assert form == entry.form()
    codec = environment.codec
    assert (codec.action_dim, codec.components) == (entry.action_dim, entry.action_components)
    assert environment.action_space.to_json()["type"] == ACTION_TYPES[entry.action_kind]
    assert environment.masked == entry.masked
    environment.close()


ACTION_TYPES = {
    "discrete": "discrete",
    "continuous": "box",
    "multi_discrete": "multi_discrete",
    "multi_binary": "multi_binary",
}


def played(environment: Environment, steps: int) -> list[tuple[bytes, float, bool]]:
    """What is seen from one seed on, by random actions that are legal: always the same ones."""
    chance = np.random.default_rng(0)
    seen: Frame | Outcome = environment.reset(7, 0)
    told = [(seen.observation.tobytes(), 0.0, False)]
    for step in range(1, steps + 1):
        action = environment.executable(environment.codec.uniform(chance, seen.mask))
        seen = outcome = environment.step(action, step)
        ended = outcome.terminated or outcome.truncated
        told.append((outcome.observation.tobytes(), outcome.reward, ended))
        if ended:
            seen = environment.reset(7 + step, step)
    return told


@EVERY
def test_the_limit_is_the_environments_own_where_it_has_one(entry: EnvironmentEntry) -> None:
    if entry.module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(entry.module)
    assert gymnasium.spec(entry.id).max_episode_steps in (None, entry.max_episode_steps)


@EVERY_WITH_KWARGS
def test_every_kwarg_is_taken_at_its_bounds_and_keeps_the_spaces(entry: EnvironmentEntry) -> None:
    plain = build(entry, {})
    for kwargs in extremes(entry.kwargs):
        checked = entry.kwargs.model_validate(kwargs).model_dump(exclude_none=True)
        env = build(entry, checked)
        assert env.observation_space == plain.observation_space, kwargs
        assert env.action_space == plain.action_space, kwargs
        env.reset(seed=0)
        if entry is not LOG:
            env.step(env.action_space.sample())
        env.close()
    plain.close()


def extremes(kwargs: type[Kwargs]) -> list[dict[str, Any]]:
    """Every kwarg at one end of what its schema allows, then every one at the other."""
    properties = kwargs.model_json_schema()["properties"]
    ends: list[dict[str, Any]] = [{}, {}]
    for name, schema in properties.items():
        variants = [v for v in schema.get("anyOf", [schema]) if v["type"] != "null"]
        (variant,) = variants
        pair: tuple[Any, Any]
        if variant["type"] == "boolean":
            pair = (False, True)
        elif "enum" in variant:
            pair = (variant["enum"][0], variant["enum"][-1])
        else:
            low = variant.get("minimum", variant.get("exclusiveMinimum"))
            high = variant.get("maximum", variant.get("exclusiveMaximum"))
            inside = 1e-6 if "exclusiveMinimum" in variant else 0
            pair = (low + inside, high - inside)
        for end, value in zip(ends, pair, strict=True):
            end[name] = value
    return ends


@EVERY_WITH_KWARGS
def test_our_defaults_are_the_environments_own(entry: EnvironmentEntry) -> None:
    """A job that names no kwarg trains on the environment as everybody knows it."""
    env = build(entry, {})
    for name, field in entry.kwargs.model_fields.items():
        assert field.default is not PydanticUndefined
        if field.default is not None:
            assert own_default(env, name) == field.default, name
    env.close()


def own_default(env: "gymnasium.Env[Any, Any]", name: str) -> Any:
    assert env.spec is not None
    if name in env.spec.kwargs:
        return env.spec.kwargs[name]
    # MinAtar hands its kwargs on to the game.
    game = getattr(env.unwrapped, "game", env.unwrapped)
    taken = [inspect.signature(type(taker)).parameters for taker in (env.unwrapped, game)]
    return next(parameters[name].default for parameters in taken if name in parameters)


def test_no_kwarg_is_a_path_or_code() -> None:
    """A text is one of a few that stand in the schema."""
    for entry in WITH_KWARGS:
        for name, schema in entry.kwargs.model_json_schema()["properties"].items():
            for variant in schema.get("anyOf", [schema]):
                assert variant["type"] in ("boolean", "integer", "number", "null", "string"), name
                assert "enum" in variant or variant["type"] != "string", name
