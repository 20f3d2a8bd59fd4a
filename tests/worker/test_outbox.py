"""Order and completeness when the database is away for a while."""

from functools import partial

import pytest
from sqlalchemy.exc import DataError, IntegrityError, OperationalError

from store.errors import Fenced
from worker import outbox as module
from worker.outbox import Outbox


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)


def _away() -> OperationalError:
    return OperationalError("INSERT", {}, Exception("connection refused"))


def test_writes_keep_their_order_and_none_is_lost_while_the_database_is_away() -> None:
    outbox, written, refusals = Outbox(), list[str](), 3

    def write(name: str) -> None:
        nonlocal refusals
        if name == "b" and refusals:
            refusals -= 1
            raise _away()
        written.append(name)

    for name in "abc":
        outbox.add(partial(write, name))
    outbox.flush()
    assert (written, len(outbox)) == (["a"], 2)
    for _ in range(3):
        outbox.flush()
    assert (written, len(outbox)) == (["a", "b", "c"], 0)


def test_a_duplicate_after_a_doubtful_commit_counts_as_written() -> None:
    outbox = Outbox()
    answers = iter([_away(), IntegrityError("INSERT", {}, Exception("duplicate"))])

    def write() -> None:
        raise next(answers)

    outbox.add(write)
    outbox.flush()
    outbox.flush()
    assert len(outbox) == 0


def test_a_write_that_no_second_try_can_help_is_shown() -> None:
    outbox = Outbox()

    def write() -> None:
        raise DataError("INSERT", {}, Exception("value too long"))

    outbox.add(write)
    with pytest.raises(DataError):
        outbox.flush()


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", -1.0)
    outbox = Outbox()

    def write() -> None:
        raise _away()

    outbox.add(write)
    with pytest.raises(OperationalError):
        outbox.flush()


def test_a_duplicate_without_doubt_is_a_bug_and_is_shown() -> None:
    outbox = Outbox()

    def write() -> None:
        raise IntegrityError("INSERT", {}, Exception("duplicate"))

    outbox.add(write)
    with pytest.raises(IntegrityError):
        outbox.flush()


def test_being_fenced_is_passed_on_and_nothing_after_it_is_written() -> None:
    outbox, written = Outbox(), list[int]()

    def fenced() -> None:
        raise Fenced("epoch 1")

    outbox.add(fenced)
    outbox.add(lambda: written.append(1))
    with pytest.raises(Fenced):
        outbox.flush()
    assert written == []
