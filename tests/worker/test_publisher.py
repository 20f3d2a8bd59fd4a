"""Checkpoints go out one after the other, wait for a store that is away, and never pile up."""

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from store.artifacts import FoundFolder, StoredFolder
from store.checkpoint_files import CheckpointFiles
from store.errors import StorageUnreachable
from store.storage import Artifacts
from worker import publisher as publisher_module
from worker.publisher import Finished, Publisher

EPOCH = 3


class Store(Artifacts):
    """Remembers what it was asked to do."""

    def __init__(self) -> None:
        self.root = Path("nowhere")
        self.away = False
        self.broken = False
        self.asked: list[str] = []
        self.open = threading.Event()
        self.open.set()
        self.removing = threading.Event()
        self.removing.set()

    def publish(
        self, stored: StoredFolder, epoch: int, last: CheckpointFiles | None, /
    ) -> StoredFolder:
        assert self.open.wait(10)
        self._refuse()
        after = "" if last is None else f" after {last.folder}"
        self.asked.append(f"publish {stored.folder} in {epoch}{after}")
        return stored

    def remove(self, names: Collection[str]) -> None:
        assert self.removing.wait(10)
        self._refuse()
        self.asked.append(f"remove {' '.join(names)}")

    def discard(self, folder: str) -> None:
        self.asked.append(f"discard {folder}")

    def _refuse(self) -> None:
        if self.away:
            raise StorageUnreachable("no answer")
        if self.broken:
            raise RuntimeError("a mistake of ours")

    def using(self, _job_id: str, /) -> AbstractContextManager[None]:
        return nullcontext()

    # The rest of the seam is for others: a publisher that asks for it is wrong, and fails.

    def resume(self, files: CheckpointFiles, _epoch: int, /) -> Path:
        raise NotImplementedError

    def incoming(self, job_id: str, /) -> AbstractContextManager[Path]:
        raise NotImplementedError

    def take_in(self, job_id: str, step: int, save: Callable[[Path], None], /) -> StoredFolder:
        raise NotImplementedError

    def sweep(self, job_id: str, named: set[str], epoch: int) -> None:
        raise NotImplementedError

    def stored(self) -> Iterator[FoundFolder]:
        raise NotImplementedError

    def remove_stray(self, name: str) -> None:
        raise NotImplementedError

    def check(self, files: CheckpointFiles) -> None:
        raise NotImplementedError

    def size_of(self, files: CheckpointFiles, name: str) -> int:
        raise NotImplementedError

    def read(self, files: CheckpointFiles, name: str, start: int, stop: int) -> Iterator[bytes]:
        raise NotImplementedError


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_module, "FIRST_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(publisher_module, "LONGEST_RETRY_SECONDS", 0.02)


class Harness:
    def __init__(self, store: Store) -> None:
        self.steps: list[int] = []  # that have a row
        self.unnamed: list[str] = []  # by the next row
        self.hold = False
        self.held: list[Finished] = []
        self.publisher = Publisher(store, EPOCH, None, self.commit)

    def commit(self, finished: Finished) -> None:
        if self.hold:
            self.held.append(finished)
            return
        self.steps.append(finished.step)
        self.publisher.committed(finished.stored, self.unnamed)

    def add(self, *steps: int) -> None:
        for step in steps:
            folder = StoredFolder(
                folder=f"job_0/3-{step}", size_bytes=1, sha256="", files={}, format_version=1
            )
            self.publisher.add(Finished(step, folder))

    def turn(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.publisher.idle:
            self.publisher.turn()
            time.sleep(0.002)

    def until_idle(self) -> None:
        self.turn(10)
        assert self.publisher.idle


@pytest.fixture
def harness(store: Store) -> Harness:
    return Harness(store)


def test_each_builds_on_the_one_committed_before(store: Store, harness: Harness) -> None:
    harness.add(10, 20)
    harness.until_idle()
    assert harness.steps == [10, 20]
    assert store.asked == ["publish job_0/3-10 in 3", "publish job_0/3-20 in 3 after job_0/3-10"]


def test_what_a_slow_removal_comes_to_is_not_taken_for_the_next_checkpoint(
    store: Store, harness: Harness
) -> None:
    store.removing.clear()
    harness.unnamed = ["job_0/2-5"]
    harness.add(10)
    while not harness.steps:
        harness.turn(0.01)
    harness.unnamed = []
    harness.add(20)
    harness.turn(0.05)
    store.removing.set()
    harness.until_idle()
    assert harness.steps == [10, 20]
    assert store.asked[-1] == "publish job_0/3-20 in 3 after job_0/3-10"


def test_the_next_one_waits_for_the_row_and_for_what_goes_with_it(
    store: Store, harness: Harness
) -> None:
    """Else it would share what is about to be removed."""
    harness.hold = True
    harness.add(10, 20)
    harness.turn(0.1)
    assert store.asked == ["publish job_0/3-10 in 3"]
    harness.hold = False
    harness.unnamed = ["job_0/2-5"]
    harness.commit(harness.held[0])
    harness.unnamed = []
    harness.until_idle()
    assert store.asked[1:] == ["remove job_0/2-5", "publish job_0/3-20 in 3 after job_0/3-10"]


def test_training_is_not_held_up(store: Store, harness: Harness) -> None:
    store.open.clear()
    harness.add(10)
    begun = time.monotonic()
    harness.publisher.turn()
    assert time.monotonic() - begun < 1
    assert not harness.publisher.idle
    store.open.set()
    harness.until_idle()


def test_a_store_that_comes_back_gets_it_all_the_same(store: Store, harness: Harness) -> None:
    store.away = True
    harness.add(10)
    harness.turn(0.1)
    assert harness.steps == []
    assert harness.publisher.failing_at == 10
    assert harness.publisher.failing_since is not None
    store.away = False
    harness.until_idle()
    assert harness.steps == [10]
    assert harness.publisher.failing_at is None
    assert harness.publisher.failing_since is None


def test_what_waits_never_piles_up_and_the_newest_are_kept(store: Store, harness: Harness) -> None:
    """The trainer links from the last two, and the one under way may be half uploaded."""
    store.away = True
    harness.add(10)
    harness.turn(0.05)
    harness.add(20, 30, 40, 50)
    assert store.asked == ["discard job_0/3-20", "discard job_0/3-30"]
    store.away = False
    harness.until_idle()
    assert harness.steps == [10, 40, 50]


def test_what_cannot_be_removed_now_is_left(store: Store, harness: Harness) -> None:
    harness.hold = True
    harness.add(10)
    harness.turn(0.1)
    store.away = True
    harness.publisher.committed(harness.held[0].stored, ["job_0/1-1"])
    harness.until_idle()
    assert "remove job_0/1-1" not in store.asked


def test_a_mistake_is_not_tried_again(store: Store, harness: Harness) -> None:
    store.broken = True
    harness.add(10)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        harness.turn(5)
