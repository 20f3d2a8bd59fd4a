"""The n-th point of a job's life fails, for n = 1, 2, ... until a life passes untouched."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from store.database import Database
from tests.protocol.faults import Fault, Kind
from tests.protocol.stories import Place, disturbed, warm_up
from tests.protocol.world import empty

MOST_POINTS = 1_000


@dataclass(frozen=True)
class Covered:
    role: str
    kind: Kind
    number: int
    label: str


class Stage:
    """One database, emptied before each life; a data folder for each."""

    def __init__(self, database_url: str, broker_url: str, folder: Path) -> None:
        self._database = Database(database_url)
        self._broker_url = broker_url
        self._folder = folder
        with self.place() as place:
            warm_up(place)

    @contextmanager
    def place(self, lease_seconds: float = 60.0) -> Iterator[Place]:
        empty(self._database)
        with Redis.from_url(self._broker_url) as broker:
            broker.flushall()
        data_dir = self._folder / uuid.uuid4().hex
        data_dir.mkdir(parents=True)
        yield Place(self._database, self._broker_url, data_dir, lease_seconds)
        shutil.rmtree(data_dir)  # not after a failure: there it can be looked at

    def close(self) -> None:
        self._database.dispose()


def advance(
    stage: Stage, role: str, kind: Kind, heard: Callable[[Covered], None], every: int = 1
) -> None:
    """`every` n-th point only. Raises where a life does not end as one that was left in peace."""
    with stage.place() as place:
        _, undisturbed = disturbed(place, None)
    for number in range(1, MOST_POINTS, every):
        with stage.place() as place:
            label, found = disturbed(place, Fault(role, kind, number))
        assert found == undisturbed, f"{role} {number} {kind} {label}"
        if label is None:
            return
        heard(Covered(role, kind, number, label))
    raise AssertionError("a life never passed untouched")
