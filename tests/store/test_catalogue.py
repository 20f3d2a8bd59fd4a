"""Every entry against the environment it describes, really built."""

import inspect
import warnings
from typing import Any

import gymnasium
import pytest
from pydantic_core import PydanticUndefined

from mrq_core.environments import Environment, make_environment
from store.catalogue import CATALOGUE, EnvironmentEntry, Kwargs
from store.spec import JobSpec


def build(entry: EnvironmentEntry, kwargs: dict[str, Any]) -> "gymnasium.Env[Any, Any]":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what environments' own imports deprecate
        return make_environment(entry.gymnasium_id, kwargs, entry.max_episode_steps)


def defaults(entry: EnvironmentEntry) -> dict[str, Any]:
    environment = {"id": entry.id}
    if entry.dataset_role:  # without its file it makes a series of its own
        environment["dataset_id"] = "any"
    spec = JobSpec.model_validate({"environment": environment, "budget": {"total_steps": 1}})
    return spec.environment.kwargs


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE)
def test_an_entry_is_its_environment(entry: EnvironmentEntry) -> None:
    """As training makes and sees it: spaces, masks, and a first observation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        environment = Environment(entry.gymnasium_id, defaults(entry), entry.max_episode_steps)
    form = environment.form
    assert (form.kind, form.frame_shape) == (entry.observation_kind, entry.frame_shape)
    assert form == entry.form()
    assert environment.reset(0, 0).observation.shape == entry.frame_shape
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


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=CATALOGUE)
def test_the_limit_is_the_environments_own_where_it_has_one(entry: EnvironmentEntry) -> None:
    env = build(entry, {})
    own_limit = gymnasium.spec(entry.id).max_episode_steps
    assert own_limit in (None, entry.max_episode_steps)
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
            inside = 1e-6 if "exclusiveMinimum" in variant else 0
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
