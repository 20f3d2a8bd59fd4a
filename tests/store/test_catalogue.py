"""Every entry against the environment it describes, really built."""

import inspect
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from pydantic_core import PydanticUndefined

from mrq_core.environments import make_environment
from mrq_core.spaces import flatten, space_from_gymnasium
from store.catalogue import CATALOGUE, EnvironmentEntry, Kwargs
from store.spec import JobSpec


def build(entry: EnvironmentEntry, kwargs: dict[str, Any]) -> "gymnasium.Env[Any, Any]":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what environments' own imports deprecate
        return make_environment(entry.id, kwargs, entry.max_episode_steps)


def defaults(entry: EnvironmentEntry) -> dict[str, Any]:
    spec = JobSpec.model_validate({"environment": {"id": entry.id}, "budget": {"total_steps": 1}})
    return spec.environment.kwargs


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE)
def test_sizes_kinds_and_limits_are_those_of_the_environment(entry: EnvironmentEntry) -> None:
    own_limit = gymnasium.spec(entry.id).max_episode_steps
    assert own_limit in (None, entry.max_episode_steps)
    env = build(entry, defaults(entry))
    observation, _ = env.reset(seed=0)
    space = space_from_gymnasium(env.observation_space)
    assert flatten(space, observation).shape == (entry.observation_dim,)
    if entry.action_kind == "discrete":
        assert isinstance(env.action_space, gymnasium.spaces.Discrete)
        assert env.action_space.n == entry.action_dim
    else:
        assert isinstance(env.action_space, gymnasium.spaces.Box)
        assert env.action_space.shape == (entry.action_dim,)
        assert np.isfinite([env.action_space.low, env.action_space.high]).all()
    env.close()


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE)
def test_every_kwarg_is_taken_at_its_bounds_and_keeps_the_spaces(entry: EnvironmentEntry) -> None:
    plain = build(entry, {})
    for kwargs in extremes(entry.kwargs):
        checked = entry.kwargs.model_validate(kwargs).model_dump(exclude_none=True)
        env = build(entry, checked)
        assert env.observation_space == plain.observation_space, kwargs
        assert env.action_space == plain.action_space, kwargs
        env.reset(seed=0)
        env.step(env.action_space.sample())
        env.close()
    plain.close()


def extremes(kwargs: type[Kwargs]) -> list[dict[str, Any]]:
    """Every kwarg at one end of what its schema allows, then every one at the other."""
    properties = kwargs.model_json_schema()["properties"] if kwargs.model_fields else {}
    ends: list[dict[str, Any]] = [{}, {}]
    for name, schema in properties.items():
        variants = [v for v in schema.get("anyOf", [schema]) if v["type"] != "null"]
        (variant,) = variants
        if variant["type"] == "boolean":
            pair = (False, True)
        else:
            low = variant.get("minimum", variant.get("exclusiveMinimum"))
            high = variant.get("maximum", variant.get("exclusiveMaximum"))
            inside = 1e-6 if "exclusiveMinimum" in variant else 0.0
            pair = (low + inside, high - inside)
        for end, value in zip(ends, pair, strict=True):
            end[name] = value
    return ends


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE)
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
    return inspect.signature(type(env.unwrapped)).parameters[name].default


def test_no_kwarg_is_a_path_or_code() -> None:
    for entry in CATALOGUE.values():
        if entry.kwargs.model_fields:
            text = str(entry.kwargs.model_json_schema()["properties"])
            assert "'string'" not in text
            assert "'object'" not in text
            assert "'array'" not in text
