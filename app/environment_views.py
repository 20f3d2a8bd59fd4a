"""Environments of the catalogue as the API shows them."""

import math
from typing import Any

from typing_extensions import TypedDict

from store.catalogue import EnvironmentEntry
from store.catalogue.entry import Suggestion
from store.catalogue.pace import steps_per_second
from store.extras import Extra, install_command
from store.installed import is_installed


class SuggestionView(TypedDict):
    preset: str
    total_steps: int
    action_repeat: int
    history: int | None


class EnvironmentView(TypedDict):
    """`dataset_role`: of the dataset that a job needs, whose further columns widen
    `observation_shape`. `steps_per_second`: of the environment alone, by random actions on one core
    of the machine that `benchmarks.pace` measured on; null where nobody did."""

    id: str
    gymnasium_id: str
    area: str
    observation_kind: str
    observation_shape: list[int]
    observation_dim: int
    action_kind: str
    action_dim: int
    action_components: list[int]
    masked: bool
    max_episode_steps: int
    limit_terminates: bool
    evaluation_epsilon: float
    dataset_role: str | None
    kwargs_schema: dict[str, Any]
    extra: str | None
    licence: str
    installed: bool | None
    install: str | None
    steps_per_second: float | None
    suggested: SuggestionView


def environment_view(
    entry: EnvironmentEntry, workers_have: frozenset[Extra] | None
) -> EnvironmentView:
    """`workers_have` None: it is not known."""
    return {
        "id": entry.id,
        "gymnasium_id": entry.gymnasium_id,
        "area": entry.area,
        "observation_kind": entry.observation_kind,
        "observation_shape": list(entry.frame_shape),
        "observation_dim": math.prod(entry.frame_shape),
        "action_kind": entry.action_kind,
        "action_dim": entry.action_dim,
        "action_components": list(entry.action_components),
        "masked": entry.masked,
        "max_episode_steps": entry.max_episode_steps,
        "limit_terminates": entry.limit_terminates,
        "evaluation_epsilon": entry.evaluation_epsilon,
        "dataset_role": entry.dataset_role or None,
        "kwargs_schema": entry.kwargs.model_json_schema(),
        "extra": entry.extra,
        "licence": entry.licence,
        "installed": is_installed(entry, workers_have),
        "install": None if entry.extra is None else install_command(entry.extra),
        "steps_per_second": steps_per_second().get(entry.id),
        "suggested": _suggestion(entry.suggestion),
    }


def _suggestion(suggestion: Suggestion) -> SuggestionView:
    return {
        "preset": suggestion.preset,
        "total_steps": suggestion.total_steps,
        "action_repeat": suggestion.action_repeat,
        "history": suggestion.history,
    }
