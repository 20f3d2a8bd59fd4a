"""`mrq env check`, as an operator runs it beside an environment of their own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.env_check import Checked, Finding, check
from store.catalogue.own import read_own
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


def test_a_failure_is_told_by_the_exit_code() -> None:
    code, out, said = mrq_env_check("tests.crane:Breaks", "--id", "acme/Crane-v0")
    assert (code, out) == (1, "")
    assert said[-1].startswith("FAIL ")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["Crane"], "'Crane' is not MODULE:ENV"),
        (["tests.crane:Crane", "--kwargs", "{"], "--kwargs is no JSON"),
        (["tests.crane:Crane", "--kwargs", "[]"], "it must be an object"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[str], text: str) -> None:
    code, _, said = mrq_env_check(*arguments)
    assert code == 1
    assert text in said[-1]
