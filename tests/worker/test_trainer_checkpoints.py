"""Each checkpoint may share files with the one before the last, also across attempts."""

import io
from dataclasses import replace
from pathlib import Path

import pytest

from mrq_core.events import CheckpointDue
from store.states import Reason
from worker.channel import Kind, Order, receive
from worker.trainer import Reporter, reason_for

JOB = "job_0123456789abcdef"


class State:
    """Writes its name, and links what the checkpoint before wrote as `sealed`."""

    def __init__(self) -> None:
        self.previous: list[Path | None] = []

    def save(self, directory: Path, previous: Path | None = None) -> None:
        self.previous.append(previous)
        (directory / "state.json").write_text(directory.name)
        if previous is None:
            (directory / "sealed").write_text("for ever")
        else:
            (directory / "sealed").hardlink_to(previous / "sealed")


def _order(root: Path, epoch: int, resume_from: str | None) -> Order:
    return Order(
        job_id=JOB,
        epoch=epoch,
        spec={},
        artifact_dir=str(root),
        resume_from=resume_from,
        device="cpu",
        threads=1,
    )


def _report(root: Path, epoch: int, resume_from: str | None, steps: list[int]) -> State:
    state, stream = State(), io.BytesIO()
    reporter = Reporter(stream, _order(root, epoch, resume_from))
    for step in steps:
        reporter.report(CheckpointDue(step, state))
    stream.seek(0)
    told = [(message.kind, message.body["stored"]["folder"]) for message in receive(stream)]
    assert told == [(Kind.CHECKPOINT, f"{JOB}/{epoch}-{step}") for step in steps]
    return state


def test_a_checkpoint_is_told_of_the_one_before_the_last(tmp_path: Path) -> None:
    first = _report(tmp_path, 1, None, [10, 20, 30, 40])
    assert first.previous == [None, None, tmp_path / JOB / "1-10", tmp_path / JOB / "1-20"]

    second = _report(tmp_path, 2, str(tmp_path / JOB / "1-20"), [25, 35])
    assert second.previous == [None, tmp_path / JOB / "1-20"]
    assert (tmp_path / JOB / "2-35" / "sealed").stat().st_nlink == 3


def test_a_bad_block_never_spoils_two_neighbours(tmp_path: Path) -> None:
    _report(tmp_path, 1, None, [10, 20, 30, 40])
    last, before = (tmp_path / JOB / name / "sealed" for name in ("1-40", "1-30"))

    last.write_text("rotten")

    assert before.read_text() == "for ever"


def test_a_failed_checkpoint_is_no_ones_predecessor(tmp_path: Path) -> None:
    state, stream = State(), io.BytesIO()
    reporter = Reporter(stream, _order(tmp_path, 1, None))
    reporter.report(CheckpointDue(10, state))
    with pytest.raises(OSError, match="not empty"):
        reporter.report(CheckpointDue(10, state))
    reporter.report(CheckpointDue(20, state))

    reporter.report(CheckpointDue(30, state))

    assert state.previous == [None, None, None, tmp_path / JOB / "1-10"]


def test_a_checkpoint_leaves_the_reserve_free(tmp_path: Path) -> None:
    order = replace(_order(tmp_path, 1, None), reserve_bytes=1 << 60)
    reporter = Reporter(io.BytesIO(), order)
    with pytest.raises(OSError, match="are needed") as refusal:
        reporter.report(CheckpointDue(10, State()))
    assert reason_for(refusal.value) is Reason.STORAGE_FULL
    assert list(tmp_path.iterdir()) == []
