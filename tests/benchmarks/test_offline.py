"""The page of what is learnt from logs: where it is written, and what it says of its making."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.offline.__main__ import SEEDS, STEPS, TABLE, Row, main, table, where
from benchmarks.provenance import machine
from mrq_core.off_policy.estimate import OffPolicyEstimate
from mrq_core.off_policy.resampling import Interval


def test_the_committed_page_is_of_its_own_seeds_and_steps_alone(tmp_path: Path) -> None:
    before = TABLE.read_text()
    for asked in (["--seeds", "1"], ["--steps", "10"], ["--seeds", "1", "--into", str(TABLE)]):
        with pytest.raises(SystemExit, match="say --into another file"):
            main(asked)
    assert TABLE.read_text() == before
    assert where(None, SEEDS, STEPS) == TABLE
    assert where(tmp_path / "page.md", 1, 10) == tmp_path / "page.md"


def row(learnt: float, lead: Interval | None) -> Row:
    estimate = OffPolicyEstimate(
        discount=0.95,
        episodes=60,
        fitted=Interval(12.0, 11.0, 13.0),
        logged=Interval(7.0, 6.0, 8.0),
        lead=lead,
        weighted=None,
        effective_episodes=None,
    )
    return Row("a number", 0, 8.0, learnt, estimate)


def test_the_page_counts_and_says_on_what_it_ran() -> None:
    lead = Interval(4.0, 3.0, 4.5)
    rows = [row(12.5, lead), row(10.5, lead), row(11.5, None), row(7.0, None)]
    page = table(rows, 300, 61.0, "abc1234")
    assert "interval of the learnt policy in 2 of 4 runs" in page
    assert "within that of the lead in 1, and the learnt policy beats the driver in 3." in page
    assert "| not known | no | no |" in page
    for told in ("commit abc1234", machine(), "numpy", "torch", "61 s"):
        assert told in page
