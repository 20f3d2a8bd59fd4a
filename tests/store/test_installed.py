"""What is not installed is refused with the command that installs it, and nothing is imported."""

import subprocess
import sys
import tomllib
from collections.abc import Mapping
from typing import Any, cast

import pytest

from store.catalogue import CATALOGUE
from store.errors import EnvironmentNotInstalled
from store.extras import (
    EXTRAS,
    MODULES,
    extras_here,
    extras_of_workers,
    missing_modules,
)
from store.installed import lacking_here, refuse_if_not_installed
from store.settings import Settings
from tests.deploy.files import text
from tests.store.specs import made

WALKER = {"id": "dm_control/walker-walk-v0"}


def test_every_extra_is_one_of_the_project_and_installed_for_the_tests() -> None:
    declared = tomllib.loads(text("pyproject.toml"))["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(MODULES) <= set(declared)
    assert {extra: missing_modules(extra) for extra in EXTRAS} == {extra: [] for extra in EXTRAS}
    of_environments = set(EXTRAS) - {"baselines"}
    assert {entry.extra for entry in CATALOGUE.values()} == of_environments


def test_what_the_operator_says_decides(settings: Settings) -> None:
    settings.worker_extras = "train"
    with pytest.raises(EnvironmentNotInstalled) as no:
        refuse_if_not_installed(made(environment=WALKER), settings)
    assert no.value.param == "environment.id"
    assert "dm_control/walker-walk-v0" in no.value.message
    assert "pip install 'mrq-service[dmc]'" in no.value.message
    refuse_if_not_installed(made(), settings)
    settings.worker_extras = "train, dmc"
    refuse_if_not_installed(made(environment=WALKER), settings)


def test_on_a_machine_that_trains_it_is_what_is_installed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_if_not_installed(made(environment=WALKER), settings)
    _need(monkeypatch, dmc=("a_package_of_nobody",))
    with pytest.raises(EnvironmentNotInstalled):
        refuse_if_not_installed(made(environment=WALKER), settings)


def test_a_server_that_cannot_train_does_not_know(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _need(monkeypatch, train=("a_package_of_nobody",), dmc=("another_one",))
    assert extras_of_workers(()) is None
    refuse_if_not_installed(made(environment=WALKER), settings)


def test_a_worker_names_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = CATALOGUE[WALKER["id"]]
    assert lacking_here(entry) is None
    _need(monkeypatch, dmc=("shimmy", "a_package_of_nobody"))
    told = lacking_here(entry)
    assert told is not None
    assert "pip install 'mrq-service[dmc]'" in told
    assert told.endswith("missing here: a_package_of_nobody")


def _need(monkeypatch: pytest.MonkeyPatch, **modules: Any) -> None:
    for extra, names in modules.items():
        monkeypatch.setitem(cast(dict[str, Any], MODULES), extra, names)


@pytest.mark.parametrize("stated", ["train,scuba", "robots"])
def test_an_extra_that_does_not_exist_is_refused(stated: str) -> None:
    with pytest.raises(ValueError, match=r"worker_extras has (scuba|robots); allowed: train"):
        Settings(worker_extras=stated)


def test_nothing_heavy_is_imported_to_tell() -> None:
    """Not even where it is installed: the server asks at every submission."""
    modules: Mapping[str, tuple[str, ...]] = cast(Mapping[str, Any], MODULES)
    heavy = {name for names in modules.values() for name in names}
    program = (
        "import sys; from store.extras import extras_here; extras_here(); "
        "import store.catalogue; print(*sys.modules)"
    )
    seen = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert heavy & set(seen.stdout.split()) == set()


def test_all_of_it_is_here() -> None:
    assert extras_here() == set(EXTRAS)
