"""Pace and beacon: what the trainer says of its speed and of being alive."""

import threading
from collections.abc import Iterator

import pytest

from store.spec import JobSpec
from worker import trainer
from worker.trainer import Beacon, Pace, training_run


def _pace(*times: float) -> Pace:
    clock: Iterator[float] = iter(times)
    return Pace(lambda: next(clock))


def test_pace_is_of_the_recent_window() -> None:
    pace = _pace(0.0, 10.0, 20.0, 45.0)
    assert pace.at(0) is None
    assert pace.at(1_000) == 100.0  # the fast warm-up
    assert pace.at(1_010) == pytest.approx(1_010 / 20.0)
    # The mark at 10 s is the last one before the window of 30 s.
    assert pace.at(1_035) == pytest.approx(35 / 35.0)


def test_reports_further_apart_than_the_window_have_a_pace_too() -> None:
    pace = _pace(0.0, 40.0, 80.0)
    assert pace.at(0) is None
    assert pace.at(1_000) == 25.0
    assert pace.at(3_000) == 50.0


def test_the_beacon_speaks_only_while_steps_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "ALIVE_SECONDS", 0.02)
    said = threading.Semaphore(0)
    stopping = threading.Event()
    beacon = Beacon(stopping.is_set, said.release)
    assert not said.acquire(timeout=0.2)  # nothing was asked: it may hang
    assert not beacon()
    assert said.acquire(timeout=5)
    assert not said.acquire(timeout=0.2)
    stopping.set()
    assert beacon()


def test_a_curve_has_about_a_thousand_points() -> None:
    spec = {"environment": {"id": "CliffWalking-v1"}, "budget": {"total_steps": 1_000_000}}
    run = training_run(JobSpec.model_validate(spec), "cpu")
    assert run.log_every == 1_000
    assert run.max_episode_steps == 500  # ours: the environment has no limit
