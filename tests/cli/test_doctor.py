"""`mrq doctor` and `mrq gc`, as an operator runs them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from store.database import Database
from store.schema import migrate
from store.settings import Settings
from tests.store.acting import submitted_long_ago


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(data_dir=tmp_path)
    database = Database(made.database_url)
    migrate(database)
    database.dispose()
    return made


def _mrq(settings: Settings, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments, "--data-dir", str(settings.data_dir)],
        env={k: v for k, v in os.environ.items() if not k.startswith("MRQ_")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_in_order(settings: Settings) -> None:
    assert _mrq(settings, "doctor", "--files") == (0, "", "mrq: all invariants hold\n")


def test_not_in_order(settings: Settings) -> None:
    database = Database(settings.database_url)
    job = submitted_long_ago(database)
    database.dispose()
    code, said, told = _mrq(settings, "doctor")
    assert code == 1
    assert said.startswith(f"I6 {job.id}: it waits, and the last bell for it was rung never.")
    assert told == "mrq: 1 findings\n"


def test_a_database_of_another_release_is_not_judged(tmp_path: Path) -> None:
    code, said, told = _mrq(Settings(data_dir=tmp_path / "none"), "doctor")
    assert (code, said) == (1, "")
    assert "mrq migrate" in told


def test_garbage_is_told_and_then_removed(settings: Settings) -> None:
    folder = settings.artifact_dir / "job_00ff" / "1-100"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text("12345")
    os.utime(folder, (time.time() - 3_600,) * 2)
    told = "1 folders without a row, 5 bytes"
    assert told in _mrq(settings, "doctor")[2]
    shown = (0, "job_00ff/1-100 5\n", f"mrq: {told}, nothing was removed\n")
    assert _mrq(settings, "gc", "--dry-run") == shown
    assert folder.exists()
    assert _mrq(settings, "gc") == (0, "job_00ff/1-100 5\n", f"mrq: {told}\n")
    assert not folder.parent.exists()
