"""A short campaign as a whole. That it can fail: test_controls.py"""

import json
from pathlib import Path

import pytest

from tests.reliability.processes import campaign


@pytest.mark.timeout(900)  # a minute and a half on two idle cores
def test_after_thirty_kills_nothing_is_lost_and_nothing_differs(tmp_path: Path) -> None:
    results = tmp_path / "results"
    specs = ["--specs", "pendulum-short", "cartpole-short", "--workers", "3"]
    short = ["--pace", "0.1", "--waiting", "1"]
    done = campaign("--kills", "30", "--seed", "11", *specs, *short, str(results))
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((results / "sqlite-kills-30-seed-11.json").read_text())
    assert result["findings"] == []
    assert result["kills"] == 30
    assert set(result["jobs"]) == {"succeeded"}
    assert result["submissions"]["keys"] == result["jobs"]["succeeded"] >= 4
    # The faults hit work, and the zombies met their successors.
    assert result["attempts"]["lost: worker_lost"] >= 8
    assert result["stops"]["woke up while the successor worked"] >= 2
    assert "30 kills" in (tmp_path / "results.md").read_text()
