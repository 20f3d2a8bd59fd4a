"""What the workers' logs say about bells: when one was received, and when it was done with."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from store.invariants import Finding

BELLS = "B1: a bell is not delivered again while it is being answered"
_LINE = re.compile(r"^\[?(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3})\b(?P<text>.*)$")
_RECEIVED = re.compile(r"Task mrq\.ring\[(?P<id>[0-9a-f-]+)\] received")
_ENDED = re.compile(r"mrq\.ring\[(?P<id>[0-9a-f-]+)\]'? (succeeded|raised)")
_BEGAN = re.compile(r"celery@\S+ ready\.")


@dataclass
class Delivery:
    worker: str
    at: datetime
    ended: datetime | None = None  # None: it is not


def twice_answered(logs: Path) -> list[Finding]:
    """Bells that came a second time before the first had ended, or its worker had died."""
    by_bell: dict[str, list[Delivery]] = defaultdict(list)
    for log in sorted(logs.glob("worker-*.log")):
        _read(log, by_bell)
    return [
        Finding(
            invariant=BELLS,
            job_id=bell,
            text=f"{later.worker} got it at {later.at} while {earlier.worker} answered it",
            advice="see acknowledgement and visibility_timeout in docs/decisions/celery.md",
        )
        for bell, earlier, later in _overlapping(by_bell)
    ]


def _overlapping(
    by_bell: dict[str, list[Delivery]],
) -> Iterator[tuple[str, Delivery, Delivery]]:
    for bell, deliveries in by_bell.items():
        deliveries.sort(key=lambda delivery: delivery.at)
        for earlier, later in pairwise(deliveries):
            if earlier.ended is None or later.at < earlier.ended:
                yield bell, earlier, later
                break


def _read(log: Path, by_bell: dict[str, list[Delivery]]) -> None:
    open_: dict[str, Delivery] = {}
    for line in log.read_text(errors="replace").splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        at, text = datetime.strptime(found["at"], "%Y-%m-%d %H:%M:%S,%f"), found["text"]
        if _BEGAN.search(text):  # the one before is dead, and what it did with it
            for delivery in open_.values():
                delivery.ended = at
            open_.clear()
        elif received := _RECEIVED.search(text):
            open_[received["id"]] = Delivery(log.stem, at)
            by_bell[received["id"]].append(open_[received["id"]])
        elif (ended := _ENDED.search(text)) and (done := open_.pop(ended["id"], None)):
            done.ended = at
