"""docs/reference/environments.md has a row for every environment, and it is the catalogue's."""

import json
from types import ModuleType

import pytest

from benchmarks.learning.result import Result, read_result
from store.catalogue import AREAS, CATALOGUE
from store.catalogue.entry import EnvironmentEntry
from store.extras import EXTRAS
from tests.deploy.files import ROOT, first_names, names_in, rows

PAGE = "docs/reference/environments.md"


def row(entry: EnvironmentEntry, measured: dict[str, str]) -> list[str]:
    if entry.action_kind == "continuous":
        actions = f"{entry.action_dim} numbers"
    else:
        actions = f"1 of {entry.action_dim}" + (", masked" if entry.masked else "")
    observed = " x ".join(map(str, entry.frame_shape))
    return [
        f"`{entry.id}`",
        f"`{entry.extra}`",
        entry.licence,
        f"{entry.observation_kind}, {observed}",
        actions,
        f"{entry.max_episode_steps:,}",
        f"`{entry.suggestion.preset}`, {entry.suggestion.total_steps:,}",
        measured.get(entry.id, "no"),
    ]


def learnt_here() -> dict[str, str]:
    """Of how many learning runs in the tree the last evaluation reached what was wanted."""
    files = sorted((ROOT / "benchmarks/learning/results").glob("*.json"))
    runs: dict[str, list[Result]] = {}
    for file in files:
        id = json.loads(file.read_text())["spec"]["environment_id"]
        runs.setdefault(id, []).append(read_result(file))
    return {id: told(results) for id, results in runs.items()}


def told(results: list[Result]) -> str:
    reached = [r.last.mean >= r.task.wanted for r in results if r.task.wanted is not None]
    return f"{sum(reached)} of {len(reached)} seeds" if reached else "see paper"


@pytest.mark.parametrize("area", AREAS, ids=lambda area: area.AREA.name)
def test_the_rows_of_an_area_are_those_of_the_catalogue(area: ModuleType) -> None:
    measured = learnt_here()
    told = rows(PAGE, area.AREA.name.capitalize())[1:]
    assert told == [row(entry, measured) for entry in area.ENTRIES]


def test_every_extra_is_told() -> None:
    told = rows(PAGE, "Extras")[1:]
    assert first_names([[line[0]] for line in told]) == list(EXTRAS)
    for name, packages, _ in told:
        assert names_in(packages), name


def test_there_are_as_many_as_it_says() -> None:
    text = (ROOT / PAGE).read_text()
    assert f"{len(CATALOGUE)} environments in {len(AREAS)} areas" in text
