"""What the documents name exists, and their tables are the code's."""

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import NoneType
from typing import get_args

import pytest

from app.errors import _HTTP_CODES
from app.main import create_app
from app.serving.observation import _CODES as _OBSERVATION_CODES
from mrq_core.baselines.settings import BASELINES
from mrq_core.baselines.settings import BOUNDS as BASELINE_BOUNDS
from mrq_core.baselines.settings import PRESETS as BASELINE_PRESETS
from mrq_core.config import BOUNDS, PRESETS, Hyperparameters
from store.doorbell import celery_settings
from store.events import append_event
from store.lifecycle import TRANSITIONS, Action, Phase
from store.seeds import JobRequest
from store.settings import Settings
from store.spec_part import Part
from store.states import AttemptStatus, Fidelity, JobStatus, Reason
from tests.deploy.files import DOCS, ROOT, compose, first_names, names_in, pages, rows, text

PAGES = pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
# Made by the commands that they stand beside.
NOT_IN_THE_TREE = frozenset({"/data/logs", "benchmarks/learning"})


@PAGES
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    local = [target for target in targets if not re.match(r"https?:", target)]
    assert [target for target in local if not (page.parent / target).exists()] == []


@PAGES
def test_files_that_are_named_exist(page: Path) -> None:
    spans = re.findall(r"`([\w.]+/[\w./-]+)`", page.read_text())
    missing = [name for name in spans if name not in NOT_IN_THE_TREE and _is_missing(name)]
    assert missing == []


def _is_missing(name: str) -> bool:
    top = name.split("/")[0]
    return (ROOT / top).is_dir() and not (ROOT / name).exists()


@PAGES
def test_tests_that_are_named_exist(page: Path) -> None:
    for file, name in re.findall(r"`([\w/]+\.py)::(\w+)`", page.read_text()):
        found = [ROOT / file] if "/" in file else list((ROOT / "tests/mrq_core").glob(file))
        assert found, file
        assert f"def {name}(" in found[0].read_text(), f"{file}::{name}"


@PAGES
def test_variables_that_are_named_exist(page: Path) -> None:
    named = set(re.findall(r"\bMRQ_[A-Z_]*[A-Z]\b", page.read_text()))
    known = {f"MRQ_{name.upper()}" for name in Settings.model_fields}
    files = [*ROOT.glob("compose*.yaml"), *ROOT.glob("compose/*.yaml")]
    in_compose = {each for file in files for each in re.findall(r"MRQ_\w+", file.read_text())}
    assert named - known - in_compose == set()


@PAGES
def test_fields_and_routes_that_are_named_exist(page: Path) -> None:
    routes = {*_routes(), "GET /openapi.json"}
    named = re.findall(r"`((?:GET|POST|PUT|DELETE) /[\w{}/.-]*)", page.read_text())
    placeholders = {"{job_id}": r"\{id\}", "{reference}": r"\{id\}|[\w-]+"}
    patterns = [_pattern(route, placeholders) for route in routes]
    assert [n for n in named if not any(re.fullmatch(p, n) for p in patterns)] == []


def _pattern(route: str, placeholders: dict[str, str]) -> str:
    for name, other in placeholders.items():
        route = route.replace(name, f"({re.escape(name)}|{other})")
    return re.sub(r"\{(environment_id)\}", r"\\{\1\\}", route)


def test_every_item_of_the_audit_is_listed_with_its_test_or_its_decision() -> None:
    listed = {row[0]: " ".join(row[1:]) for row in rows("docs/reference/mrq.md")}
    wanted = [f"A{i}" for i in range(1, 16)] + [f"B{i}" for i in range(1, 25)]
    assert [item for item in wanted if item not in listed] == []
    # One may be told in the decision alone.
    decision = text("docs/decisions/mrq-reference-fixes.md")
    told = {i for i in wanted if "::test_" in listed[i] or re.search(rf"\b{i}\b", decision)}
    assert sorted(set(wanted) - told) == []


def test_every_page_is_in_an_index() -> None:
    for folder, index in ((DOCS / "decisions", "decisions/README.md"), (DOCS, "README.md")):
        linked = re.findall(r"\]\(([\w/-]+\.md)\)", text(f"docs/{index}"))
        below = {str(page.relative_to(folder)) for page in folder.rglob("*.md")}
        own = {p for p in below if not p.endswith("README.md") and not p.startswith("decisions/")}
        assert own <= set(linked)


def test_the_dependencies_are_those_of_the_project() -> None:
    project = tomllib.loads(text("pyproject.toml"))["project"]
    extras = project["optional-dependencies"].values()
    declared = [*project["dependencies"], *(each for extra in extras for each in extra)]
    # A requirement ends where its versions begin.
    wanted = [re.split(r"[<>=]", each)[0] for each in declared]
    assert sorted(first_names(rows("docs/decisions/dependencies.md"))) == sorted(wanted)


def test_the_celery_settings_are_these() -> None:
    settings = celery_settings("redis://broker")
    options = settings.pop("broker_transport_options")
    del settings["broker_url"], settings["task_queues"]
    table = rows("docs/decisions/celery.md")
    shown = {row[0].strip("`"): row[1].strip("`") for row in table if row[0].startswith("`")}
    assert shown.pop("task_queues") == "that one"
    assert shown == {
        name: str(value).replace("'", '"') if isinstance(value, list) else str(value)
        for name, value in (settings | options).items()
    }


def test_the_job_spec_has_these_fields() -> None:
    named = first_names(rows("docs/reference/job-spec.md", "Fields"))
    assert named == list(_paths(JobRequest))


def _paths(part: type[Part], prefix: str = "") -> Iterator[str]:
    for name, field in part.model_fields.items():
        # Of a part that may be left out, the part; one that is only answered is one thing.
        kinds = [each for each in get_args(field.annotation) if each is not NoneType]
        kind = kinds[0] if len(kinds) == 1 and not field.json_schema_extra else field.annotation
        if isinstance(kind, type) and issubclass(kind, Part):
            yield from _paths(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def test_the_hyperparameters_have_these_defaults_and_bounds() -> None:
    table = rows("docs/reference/job-spec.md", "Hyperparameters")[1:]
    kinds = {"int": "integer", "float": "number", "bool": "boolean"}
    assert [row[0].strip("`") for row in table] == [f.name for f in fields(Hyperparameters)]
    for field, (_, kind, default, allowed, _meaning) in zip(
        fields(Hyperparameters), table, strict=True
    ):
        assert kind == kinds[str(field.type)]
        if field.name in BOUNDS:
            assert _number(default) == field.default
            assert tuple(map(_number, allowed.split(" to "))) == BOUNDS[field.name]
        else:
            assert default == str(field.default).lower()


@pytest.mark.parametrize("name", BASELINES)
def test_the_settings_of_a_baseline_are_these(name: str) -> None:
    table = rows("docs/reference/baselines.md", f"Settings of `{name}`")[1:]
    paper, small = (presets[name] for presets in BASELINE_PRESETS.values())
    assert [row[0].strip("`") for row in table] == [field.name for field in fields(paper)]
    for setting, default, of_small, allowed, _meaning in table:
        key = setting.strip("`")
        assert _number(default) == getattr(paper, key)
        assert _number(of_small) == getattr(small, key)
        assert tuple(map(_number, allowed.split(" to "))) == BASELINE_BOUNDS[key]


def _number(written: str) -> float:
    return float(written.replace(",", ""))


def test_the_presets_differ_so() -> None:
    table = rows("docs/decisions/presets.md")[1:]
    paper, small = PRESETS["paper"], PRESETS["small"]
    shown = {name: (_number(row[1]), _number(row[2])) for row in table for name in names_in(row[0])}
    both = {f.name: (getattr(paper, f.name), getattr(small, f.name)) for f in fields(paper)}
    assert shown == {name: pair for name, pair in both.items() if pair[0] != pair[1]}


def test_the_states_and_reasons_are_these() -> None:
    assert _first_of("docs/reference/jobs.md", "status") == [*JobStatus]
    assert set(_first_of("docs/reference/jobs.md", "attempt")) == {*AttemptStatus}
    assert set(_first_of("docs/reference/jobs.md", "reason")) == {*Reason}


def test_what_a_user_may_do_is_this() -> None:
    part = text("docs/reference/jobs.md").split("## What a user may do")[1].split("## Attempts")[0]
    header, _, *table = (line.strip("|").split("|") for line in part.splitlines() if "|" in line)
    actions = [cell.strip(" `") for cell in header[1:]]
    shown = {
        (action, phase.strip(" `")): to.strip(" `")
        for phase, *cells in table
        for action, to in zip(actions, cells, strict=True)
    }
    assert shown == {
        (action, phase): TRANSITIONS[action].get(phase, "-") for action in Action for phase in Phase
    }
    assert first_names(rows("docs/reference/jobs.md", "Attempts"))[-len(Fidelity) :] == [*Fidelity]


def _first_of(page: str, header: str) -> list[str]:
    """The first column of the table whose header begins with this word."""
    table = rows(page)
    start = next(i for i, row in enumerate(table) if row[0].strip("`") == header)
    below = table[start + 1 :]
    end = next((i for i, row in enumerate(below) if not row[0].startswith("`")), len(below))
    return first_names(below[:end])


def test_the_routes_are_those_of_openapi() -> None:
    assert set(first_names(rows("docs/reference/api.md", "Routes"))) == _routes()


@cache
def _routes() -> frozenset[str]:
    settings = Settings(data_dir=Path("unused"), job_memory_bytes=1)
    document = create_app(settings).openapi()
    return frozenset(
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method in operations
    )


def test_the_error_codes_are_those_of_the_code() -> None:
    table = rows("docs/reference/api.md", "Errors")[1:]
    assert {row[1].strip("`") for row in table} == set(_codes())


def _codes() -> Iterator[str]:
    yield from _HTTP_CODES.values()
    files = [*(ROOT / "app").rglob("*.py"), *(ROOT / "store").glob("*.py")]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            yield from _codes_at(node)
    yield from _OBSERVATION_CODES.values()


def _codes_at(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Call(func=ast.Name(id="Problem"), keywords=keywords):
            for keyword in keywords:
                if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                    yield str(keyword.value.value)
        case ast.Call(
            func=ast.Name(id="ActRefused" | "FeedbackRefused"),
            args=[ast.Constant(value=str(code)), *_],
        ):
            yield code
        case ast.Call(func=ast.Name(id="NotFound"), args=[ast.Constant(value=str(kind)), *_]):
            yield f"{kind}_not_found"
        case ast.ClassDef(name=name, body=body) if name != "DomainError":
            for line in body:
                if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "code":
                    yield ast.literal_eval(line.value)


def test_the_events_are_those_that_are_written() -> None:
    written = set()
    for file in (ROOT / "store").glob("*.py"):
        written |= set(re.findall(rf"{append_event.__name__}\([^\"]*\"(\w+)\"", file.read_text()))
    part = text("docs/reference/api.md").split("## Live events")[1].split("## Errors")[0]
    sentence = part.split("Messages:")[1].split("`end`")[0]
    assert set(re.findall(r"`(\w+)`", sentence)) == written | {"progress"}


def test_services_that_are_named_exist() -> None:
    named = re.findall(r"docker compose (?:exec|kill|stop) (\w+)", _how_tos())
    assert set(named) <= set(compose()["services"])


def _how_tos() -> str:
    return "".join(page.read_text() for page in sorted((DOCS / "how-to").glob("*.md")))
