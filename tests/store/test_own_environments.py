"""The operator's file of environments: read once at the start, or refused with its field."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from store.catalogue import CATALOGUE, OURS, use_own_environments
from store.database import Database
from store.errors import SetupError
from store.installed import lacking_here
from store.settings import Settings
from tests.app.driving import BEARER, spec
from tests.store.specs import made, refusal

CRANE: dict[str, Any] = {
    "entry": "tests.crane:Crane",
    "observation": {"kind": "vector", "shape": [6]},
    "action": {"kind": "continuous", "size": 2},
    "max_episode_steps": 50,
    "kwargs": {"load": {"type": "number", "default": 1.0, "minimum": 0.5, "maximum": 5.0}},
}
TOML = """
["acme/Crane-v0"]
entry = "tests.crane:Crane"
observation = {kind = "vector", shape = [6]}
action = {kind = "continuous", size = 2}
max_episode_steps = 50

["acme/Crane-v0".kwargs.load]
type = "number"
default = 1.0
minimum = 0.5
maximum = 5.0
"""


@pytest.fixture(autouse=True)
def _afterwards_as_before() -> Iterator[None]:
    yield
    use_own_environments(None)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    file = tmp_path / "own.toml"
    file.write_text(TOML)
    return file


def test_json_and_toml_say_the_same(own: Path, tmp_path: Path) -> None:
    use_own_environments(own)
    entry = CATALOGUE["acme/Crane-v0"]
    assert (entry.area, entry.extra, entry.frame_shape, entry.action_dim) == ("own", None, (6,), 2)
    resolved = made(environment={"id": "acme/Crane-v0"}).environment
    assert (resolved.kwargs, resolved.max_episode_steps) == ({"load": 1.0}, 50)
    other = tmp_path / "own.json"
    other.write_text(json.dumps({"acme/Crane-v0": CRANE}))
    use_own_environments(other)
    assert made(environment={"id": "acme/Crane-v0"}).environment == resolved


def test_its_kwargs_are_held_to_their_bounds(own: Path) -> None:
    use_own_environments(own)
    path, message = refusal({"environment": {"id": "acme/Crane-v0", "kwargs": {"load": 9.0}}})
    assert path == "environment.kwargs.load"
    assert "less than or equal to 5; kwargs of acme/Crane-v0: load" in message
    crane = {"id": "acme/Crane-v0", "kwargs": {"file": "x"}}
    assert refusal({"environment": crane})[0] == "environment.kwargs.file"


def test_another_file_takes_the_place_of_the_first(own: Path) -> None:
    use_own_environments(own)
    use_own_environments(None)
    assert dict(CATALOGUE) == dict(OURS)
    assert refusal({"environment": {"id": "acme/Crane-v0"}})[0] == "environment.id"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"entry": "os.system"}, "acme/Crane-v0.entry"),
        ({"entry": "tests.crane:Crane; import os"}, "acme/Crane-v0.entry"),
        ({"path": "/etc"}, "acme/Crane-v0.path: Extra inputs"),
        ({"observation": {"kind": "pixels", "shape": [6]}}, "pixels have 3"),
        ({"observation": {"kind": "vector", "shape": [0]}}, "observation.shape.0"),
        ({"action": {"kind": "discrete", "size": 2}}, "kind='discrete' needs components"),
        ({"action": {"kind": "continuous"}}, "kind='continuous' needs size"),
        (
            {"action": {"kind": "discrete", "components": [2, 3]}},
            "components=[2, 3]: discrete is one choice; allowed: one",
        ),
        (
            {"action": {"kind": "multi_binary", "components": [2, 3]}},
            "components=[2, 3]: those of multi_binary are switches; allowed: 2",
        ),
        *(
            ({"kwargs": {name: CRANE["kwargs"]["load"]}}, f"{name!r} is an attribute of pydantic's")
            for name in ("copy", "json", "model_dump", "schema", "model_config", "dict")
        ),
        ({"max_episode_steps": 0}, "max_episode_steps"),
        ({"kwargs": {"load": {"type": "number", "default": 1.0}}}, "minimum and maximum, and both"),
        ({"kwargs": {"load": CRANE["kwargs"]["load"] | {"default": 9.0}}}, "kwargs.load"),
        ({"kwargs": {"__class__": CRANE["kwargs"]["load"]}}, "kwargs.__class__"),
        ({"kwargs": {"load": {"type": "string", "default": "x"}}}, "kwargs.load.type"),
    ],
)
def test_a_mistake_in_it_is_named(tmp_path: Path, change: dict[str, Any], text: str) -> None:
    file = tmp_path / "own.json"
    file.write_text(json.dumps({"acme/Crane-v0": CRANE | change}))
    with pytest.raises(SetupError) as no:
        use_own_environments(file)
    assert f"environments_file {file}" in no.value.message
    assert text in no.value.message
    assert dict(CATALOGUE) == dict(OURS)


@pytest.mark.parametrize("id", ["Crane-v0", "acme/Crane", "acme/../Crane-v0", "os:system/A-v0"])
def test_an_id_needs_a_namespace_and_a_version(tmp_path: Path, id: str) -> None:
    file = tmp_path / "own.json"
    file.write_text(json.dumps({id: CRANE}))
    with pytest.raises(SetupError, match="should match pattern"):
        use_own_environments(file)


def test_nothing_of_the_catalogue_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "own.json"
    file.write_text(json.dumps({"mrq/Catch-v0": CRANE}))
    with pytest.raises(SetupError, match="mrq/Catch-v0 is in the catalogue already"):
        use_own_environments(file)


@pytest.mark.parametrize("text", ["{", '["a/B-v0"]', "\x00"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "own.json"
    file.write_text(text)
    with pytest.raises(SetupError, match="environments_file"):
        use_own_environments(file)
    with pytest.raises(SetupError, match="No such file"):
        use_own_environments(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_it_is_listed_and_takes_jobs(
    own: Path, make_settings: Callable[..., Settings], database: Database
) -> None:
    settings = make_settings(environments_file=str(own), worker_extras="train")
    with TestClient(create_app(settings), headers=BEARER) as client:
        crane = client.get("/environments/acme/Crane-v0").json()
        assert (crane["area"], crane["extra"], crane["installed"]) == ("own", None, None)
        assert crane["kwargs_schema"]["properties"]["load"]["maximum"] == 5.0
        answer = client.post("/jobs", json=spec(environment={"id": "acme/Crane-v0"}))
        assert answer.status_code == 201
        assert '<optgroup label="Own">' in client.get("/ui/jobs").text


def test_a_worker_without_the_package_says_so(tmp_path: Path) -> None:
    file = tmp_path / "own.json"
    file.write_text(json.dumps({"acme/Crane-v0": CRANE | {"entry": "package_of_nobody.a:Crane"}}))
    use_own_environments(file)
    told = lacking_here(CATALOGUE["acme/Crane-v0"])
    assert told == "acme/Crane-v0 needs the package 'package_of_nobody', which is not here"
