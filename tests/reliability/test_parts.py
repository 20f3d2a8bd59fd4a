"""The parts of the campaign that judge and plan, on what is easy to see through."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.reliability.checks import (
    DOUBLED,
    EVALUATIONS,
    LOST,
    METRICS,
    SUCCEEDS,
    WEIGHTS,
    check_jobs,
    finding,
)
from benchmarks.reliability.client import Submission
from benchmarks.reliability.deliveries import BELLS, twice_answered
from benchmarks.reliability.schedule import OF_A_WORKER, Kind, is_kill, plan
from benchmarks.reliability.watch import Patience
from store.database import Database
from store.policies import succeed
from store.settings import Settings
from tests.store.acting import evaluate, progress, running

RECEIVED = "2026-01-01 00:00:{:02d},000 INFO celery.worker.strategy Task mrq.ring[ab-1] received"
SUCCEEDED = "[2026-01-01 00:00:{:02d},000: INFO/SpawnPoolWorker-1] Task mrq.ring[ab-1] succeeded in"
READY = "2026-01-01 00:00:{:02d},000 INFO celery.apps.worker celery@vm ready."


def test_a_seed_gives_one_plan() -> None:
    assert plan(5, 30, postgres=False) == plan(5, 30, postgres=False)
    assert plan(5, 30, postgres=False) != plan(6, 30, postgres=False)


@pytest.mark.parametrize("postgres", [False, True])
def test_two_hundred_kills_are_of_every_kind(postgres: bool) -> None:
    kinds = Counter(fault.kind for fault in plan(1, 200, postgres=postgres))
    assert sum(count for kind, count in kinds.items() if is_kill(kind)) == 200
    assert sum(kinds[kind] for kind in OF_A_WORKER if is_kill(kind)) >= 115
    assert kinds[Kind.SERVER] >= 25
    assert kinds[Kind.BROKER_WIPED] >= 9
    assert kinds[Kind.WORKER_STOPPED] >= 20
    assert (kinds[Kind.POSTGRES] >= 9) is postgres
    assert set(kinds) == set(Kind) - (set() if postgres else {Kind.POSTGRES})


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ([RECEIVED.format(1), SUCCEEDED.format(5)], [RECEIVED.format(3)], True),
        ([RECEIVED.format(1)], [RECEIVED.format(3)], True),
        ([RECEIVED.format(1), SUCCEEDED.format(5)], [RECEIVED.format(6)], False),
        ([RECEIVED.format(1), READY.format(2)], [RECEIVED.format(3)], False),  # it was killed
    ],
)
def test_a_bell_that_rings_while_it_is_answered_is_found(
    tmp_path: Path, first: list[str], second: list[str], found: bool
) -> None:
    (tmp_path / "worker-1.log").write_text("\n".join(first))
    (tmp_path / "worker-2.log").write_text("\n".join(second))
    assert [each.invariant for each in twice_answered(tmp_path)] == [BELLS] * found


def test_patience_starts_again_after_a_break() -> None:
    patient, hasty = Patience(3600), Patience(0)
    late = finding("I6", "job_1", "it waits")
    assert patient.outlasted([late]) == []
    assert hasty.outlasted([late]) == [late]
    assert hasty.outlasted([]) == []
    assert hasty.longest == 0.0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
class TestAtTheEnd:
    def test_a_job_that_is_like_the_first_of_its_spec_is_not_found(
        self, database: Database, settings: Settings
    ) -> None:
        jobs = [_finished(database, settings), _finished(database, settings)]
        assert check_jobs(database, jobs) == []

    @pytest.mark.parametrize(
        ("differs", "invariant"),
        [
            ({"weights": "cd"}, WEIGHTS),
            ({"loss": 0.25 + 2**-50}, METRICS),
            ({"steps": (10, 30)}, METRICS),
            ({"returns": (1.0, 3.0)}, EVALUATIONS),
        ],
    )
    def test_the_smallest_difference_is_found(
        self,
        database: Database,
        settings: Settings,
        differs: dict[str, Any],
        invariant: str,
    ) -> None:
        jobs = [_finished(database, settings), _finished(database, settings, **differs)]
        (found,) = check_jobs(database, jobs)
        assert (found.invariant, found.job_id) == (invariant, jobs[1].job_ids[0])

    def test_lost_doubled_and_unfinished_jobs_are_found(
        self, database: Database, settings: Settings
    ) -> None:
        unfinished = Submission("a", "spec", {}, False, 1, [running(database, settings).job_id])
        answered_twice = _finished(database, settings)
        answered_twice.job_ids.append("job_ffff")
        gone = Submission("c", "spec", {}, False, 1, ["job_eeee"])
        silent = Submission("d", "spec", {}, False, 9, [], "503")
        found = check_jobs(database, [unfinished, answered_twice, gone, silent])
        assert Counter(each.invariant for each in found) == {LOST: 2, DOUBLED: 2, SUCCEEDS: 1}


def _finished(
    database: Database,
    settings: Settings,
    *,
    weights: str = "ab",
    loss: float = 0.25,
    steps: tuple[int, ...] = (10, 20, 30),
    returns: tuple[float, ...] = (1.0, 2.0),
) -> Submission:
    claimed = running(database, settings)
    for step in steps:
        progress(database, claimed, step, loss=loss)
    evaluate(database, claimed, 30, *returns)
    succeed(database, claimed, weights_sha256=weights, step=30)
    return Submission("key", "spec", {}, twice=False, job_ids=[claimed.job_id])
