"""What can be known of the images without building them."""

import json
import re
import tomllib
from importlib.util import find_spec

import pytest

from app.auth import OPEN_PATHS
from tests.deploy.files import ROOT, compose, text

LINES = text("Dockerfile").replace("\\\n", " ").splitlines()
PROJECT = tomllib.loads(text("pyproject.toml"))


def _stages() -> dict[str, list[str]]:
    stages: dict[str, list[str]] = {}
    for line in LINES:
        if found := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            # A stage begins with what its base has done.
            stages[found[2]] = list(stages.get(found[1], []))
            current = stages[found[2]]
        elif stages:
            current.append(line)
    return stages


STAGES = _stages()


def _instructions(stage: str, name: str) -> list[str]:
    return [line.split(" ", 1)[1] for line in STAGES[stage] if line.startswith(f"{name} ")]


def _copied_from_the_tree() -> list[str]:
    copies = [line for lines in STAGES.values() for line in lines if line.startswith("COPY ")]
    return [source for line in set(copies) if "--from" not in line for source in line.split()[1:-1]]


def test_what_is_copied_exists() -> None:
    assert [source for source in _copied_from_the_tree() if not (ROOT / source).exists()] == []


def test_every_package_of_the_wheel_is_copied() -> None:
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert set(packages) <= set(_copied_from_the_tree())


def test_the_builder_is_sent_what_is_copied_and_nothing_else() -> None:
    ignore = text(".dockerignore").splitlines()
    assert "*" in ignore
    sent = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    assert sent == set(_copied_from_the_tree())


def test_compose_builds_targets_that_exist() -> None:
    services = compose()["services"].values()
    targets = {service["build"]["target"] for service in services if "build" in service}
    assert targets == {"app", "worker"}
    assert targets <= set(STAGES)


@pytest.mark.parametrize("stage", ["app-environment", "worker-environment"])
def test_everything_is_installed_under_the_constraints_and_nothing_compiled(stage: str) -> None:
    installs = [line for line in _instructions(stage, "RUN") if "pip install" in line]
    assert installs
    for install in installs:
        assert "--constraint /constraints.txt" in install
        assert "--only-binary :all:" in install


def test_the_server_has_neither_torch_nor_the_simulators() -> None:
    (install,) = [line for line in _instructions("app-environment", "RUN") if "install" in line]
    assert re.findall(r"\[(.*?)\]", install) == ["${SERVER_EXTRAS}"]
    assert "SERVER_EXTRAS=postgres,s3" in _instructions("app-environment", "ARG")
    assert "torch" not in install


@pytest.mark.parametrize("stage", ["app", "worker"])
def test_it_runs_as_a_user_without_rights(stage: str) -> None:
    assert _instructions(stage, "USER") == ["10001:10001"]
    assert _instructions(stage, "STOPSIGNAL") == ["SIGTERM"]
    assert any("PYTHONSAFEPATH=1" in line for line in _instructions(stage, "ENV"))


@pytest.mark.parametrize("stage", ["app", "worker"])
def test_the_final_images_install_nothing(stage: str) -> None:
    runs = " ".join(_instructions(stage, "RUN"))
    assert "pip" not in runs
    assert "apt" not in runs


@pytest.mark.parametrize("stage", ["app", "worker"])
def test_its_command_is_a_module_that_exists(stage: str) -> None:
    command = json.loads(_instructions(stage, "CMD")[-1])
    assert command[:2] == ["python", "-m"]
    assert find_spec(command[2]) is not None


def test_the_health_check_asks_a_path_that_needs_no_key() -> None:
    (check,) = _instructions("app", "HEALTHCHECK")
    (path,) = re.findall(r"127\.0\.0\.1:8000(/\w+)", check)
    assert path in OPEN_PATHS


def test_extras_that_are_named_exist() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    whole = text("Dockerfile")
    for name, default in re.findall(r"ARG (\w+_EXTRAS)=(\S+)", whole):
        whole = whole.replace(f"${{{name}}}", default)
    named = re.findall(r"\.whl\)\[(.*?)\]", whole)
    assert len(named) == 2
    assert {extra for names in named for extra in names.split(",")} <= set(extras)
