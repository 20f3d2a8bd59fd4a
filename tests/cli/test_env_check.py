"""`mrq env check`, as an operator runs it beside an environment of their own."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cli.env_check import Checked, Finding, check
from cli.env_entry import entry_of
from store.catalogue.own import read_own
from store.errors import SetupError
from tests.deploy.files import ROOT


def mrq_env_check(*arguments: str) -> tuple[int, str, list[str]]:
    """Exit code, standard output, and the findings."""
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "env", "check", *arguments],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith("MRQ_")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr.splitlines()


def test_a_good_one_is_described_and_its_entry_can_be_read(tmp_path: Path) -> None:
    code, entry, said = mrq_env_check(
        "tests.crane:Crane", "--max-episode-steps", "50", "--id", "acme/Crane-v0"
    )
    assert code == 0
    assert {line.split()[0] for line in said} == {"ok"}
    assert "observations: vector, 6; actions: 2 numbers" in said[0]
    assert "1,000 steps; 20 episodes ended, 0 of them terminated" in said[1]
    assert any(re.search(r"[\d,]+ steps a second", line) for line in said)
    file = tmp_path / "own.toml"
    file.write_text(entry)
    (row,) = read_own(file)
    assert (row.id, row.entry_point) == ("acme/Crane-v0", "tests.crane:Crane")
    assert (row.frame_shape, row.action_kind, row.action_dim) == ((6,), "continuous", 2)
    assert (row.masked, row.max_episode_steps) == (False, 50)


def test_choices_and_masks_are_found(tmp_path: Path) -> None:
    code, entry, said = mrq_env_check(
        "tests.crane:Choosing", "--max-episode-steps", "9", "--steps", "60", "--id", "a/B-v1"
    )
    assert code == 0, said
    assert "actions: one of 7, with masks" in said[0]
    file = tmp_path / "own.toml"
    file.write_text(entry)
    (row,) = read_own(file)
    assert (row.action_kind, row.action_components, row.masked) == ("discrete", (7,), True)


def findings(name: str, limit: int | None, steps: int, **kwargs: float) -> list[Finding]:
    """Without a process for each."""
    checked = Checked(entry_point=f"tests.crane:{name}", kwargs=kwargs, max_episode_steps=limit)
    return list(check(checked, steps))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Texts", "a Box, Discrete, MultiBinary"),
        ("Breaks", "at step 1 the environment failed: step: RuntimeError: the motor is on fire"),
        ("NoStart", "at step 0 the environment failed: reset: KeyError: 'seat'"),
        ("StartsOnce", "KeyError: 'seat'"),
        ("WrongShape", "expected a list of 6 numbers, got an array of shape (5,)"),
        ("Stuck", "close: OSError: the brake is stuck"),
        ("NotANumber", "step 1"),
        ("Nobody", "Nobody"),
    ],
)
def test_one_that_cannot_be_trained_in_fails_with_the_reason(name: str, text: str) -> None:
    *_, last = findings(name, 50, 100)
    assert last.kind == "FAIL"
    assert text in last.text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Unseeded", "the same seed gives something else"),
        ("Leaves", "something outlives a reset"),
        ("Hoards", "MiB of memory while it was stepped"),
        ("Timed", "all 40 episodes end after 5 steps: if that is a time limit, limit_terminates"),
    ],
)
def test_bad_habits_are_noted_and_no_failure(name: str, text: str) -> None:
    found = findings(name, 50, 200)
    assert "FAIL" not in {finding.kind for finding in found}
    (note,) = [finding.text for finding in found if finding.kind == "note"]
    assert text in note


def test_its_kwargs_are_passed_on() -> None:
    assert "FAIL" not in {finding.kind for finding in findings("Crane", None, 9, load=2.0)}
    (only,) = findings("Crane", None, 9, mass=2.0)
    assert "unexpected keyword argument 'mass'" in only.text


@pytest.mark.parametrize("name", ["Breaks", "NoStart", "WrongShape", "Stuck"])
def test_a_failure_is_told_by_the_exit_code(name: str) -> None:
    code, out, said = mrq_env_check(f"tests.crane:{name}", "--id", "acme/Crane-v0")
    assert (code, out) == (1, "")
    assert said[-1].startswith("FAIL ")


@pytest.mark.parametrize(
    ("arguments", "entry"),
    [
        (
            ["tests.crane:Crane", "--kwargs", '{"load": 2.5}'],
            {"load": {"type": "number", "default": 2.5, "minimum": 2.5, "maximum": 2.5}},
        ),
        (
            ["tests.crane:Switches", "--kwargs", '{"strength": 2, "both": true}'],
            {
                "strength": {"type": "integer", "default": 2, "minimum": 2, "maximum": 2},
                "both": {"type": "boolean", "default": True},
            },
        ),
    ],
)
def test_the_entry_describes_what_was_checked(
    tmp_path: Path, arguments: list[str], entry: dict[str, Any]
) -> None:
    code, text, said = mrq_env_check(*arguments, "--steps", "9", "--id", "acme/Crane-v0")
    assert code == 0, said
    assert tomllib.loads(text)["acme/Crane-v0"]["kwargs"] == entry
    file = tmp_path / "own.toml"
    file.write_text(text)
    (row,) = read_own(file)
    checked = {name: kwarg["default"] for name, kwarg in entry.items()}
    assert row.kwargs().model_dump() == checked
    with pytest.raises(ValidationError):
        row.kwargs.model_validate({"load": 2.6} if "load" in entry else {"strength": 3})


def test_an_entry_that_the_service_would_refuse_is_not_printed() -> None:
    checked = Checked(entry_point="tests.crane:Crane", kwargs={}, max_episode_steps=2_000_000)
    with pytest.raises(SetupError, match=r"no entry of a/B-v0: a/B-v0\.max_episode_steps"):
        entry_of(checked, "a/B-v0")
    gone = Checked(entry_point="tests.crane:Nobody", kwargs={}, max_episode_steps=1)
    with pytest.raises(SetupError, match="no entry of a/B-v0: EnvironmentFault"):
        entry_of(gone, "a/B-v0")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["tests.crane:Crane", "--id", "Crane-v0"], "--id 'Crane-v0': String should match pattern"),
        (["tests.crane:Crane", "--id", "Crane-v0"], "allowed: NAMESPACE/NAME-vNUMBER"),
        (
            ["tests.crane:Crane", "--id", "a/B-v0", "--kwargs", '{"name": "x"}'],
            '--kwargs name="x": an entry has numbers, true and false',
        ),
        (
            ["tests.crane:Crane", "--id", "a/B-v0", "--kwargs", '{"copy": 1}'],
            "--kwargs 'copy': Value error, 'copy' is an attribute of pydantic's models",
        ),
        (["Crane"], "'Crane' is not MODULE:ENV"),
        (["tests.crane:Crane", "--kwargs", "{"], "--kwargs is no JSON"),
        (["tests.crane:Crane", "--kwargs", "[]"], "it must be an object"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], text: str) -> None:
    code, _, said = mrq_env_check(*arguments)
    assert code == 1
    assert text in said[-1]
