"""A short campaign as a whole, and that it can fail: with a defect in the service it does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def _campaign(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A process of its own: it mounts its small disk where nobody else sees it."""
    command = [sys.executable, "-m", "benchmarks.reliability", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.timeout(900)  # a minute and a half on two idle cores
def test_after_thirty_kills_nothing_is_lost_and_nothing_differs(tmp_path: Path) -> None:
    results = tmp_path / "results"
    specs = ["--specs", "pendulum-short", "cartpole-short", "--workers", "2", "--pace", "0.4"]
    done = _campaign("--kills", "30", "--seed", "7", *specs, str(results))
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((results / "sqlite-kills-30-seed-7.json").read_text())
    assert result["findings"] == []
    assert result["kills"] == 30
    assert set(result["jobs"]) == {"succeeded"}
    assert result["submissions"]["keys"] == result["jobs"]["succeeded"] >= 4
    # The faults hit work, and the zombies met their successors.
    assert result["attempts"]["lost: worker_lost"] >= 8
    assert result["stops"]["woke up while the successor worked"] >= 3
    assert "30 kills" in (tmp_path / "results.md").read_text()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("control", ["no_fencing", "in_place_write"])
def test_a_defect_breaks_the_invariant_that_was_named(control: str) -> None:
    done = _campaign("--control", control)
    assert done.returncode == 0, done.stdout + done.stderr
