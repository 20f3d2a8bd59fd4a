"""Which fault comes after which, decided by the seed alone: the same seed, the same plan."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    WORKER_MAIN = "kill worker main"
    POOL_CHILD = "kill pool child"
    TRAINER = "kill trainer"
    WORKER_GROUP = "kill worker group"
    SERVER = "kill server"
    RECONCILER = "kill reconciler"
    RECONCILERS = "kill all reconcilers"
    BROKER = "kill broker"
    BROKER_WIPED = "kill broker, wiped"
    POSTGRES = "kill postgres"
    WORKER_STOPPED = "stop worker group beyond its lease"
    BROKER_FROZEN = "freeze broker"
    BELLS_DOUBLED = "double bells"
    BELLS_LOST = "lose bells"
    BELLS_DELAYED = "delay bells"
    DISK_FULL = "fill disk"


# Parts of the kills.
KILLS: Mapping[Kind, int] = {
    Kind.WORKER_MAIN: 30,
    Kind.POOL_CHILD: 30,
    Kind.TRAINER: 35,
    Kind.WORKER_GROUP: 25,
    Kind.SERVER: 30,
    Kind.RECONCILER: 12,
    Kind.RECONCILERS: 8,
    Kind.BROKER: 10,
    Kind.BROKER_WIPED: 10,
    Kind.POSTGRES: 10,
}
# What comes with them: so many for each kill, one at least.
OTHERS: Mapping[Kind, float] = {
    Kind.WORKER_STOPPED: 0.12,
    Kind.BROKER_FROZEN: 0.04,
    Kind.BELLS_DOUBLED: 0.05,
    Kind.BELLS_LOST: 0.05,
    Kind.BELLS_DELAYED: 0.05,
    Kind.DISK_FULL: 0.04,
}
OF_A_WORKER = frozenset(
    {Kind.WORKER_MAIN, Kind.POOL_CHILD, Kind.TRAINER, Kind.WORKER_GROUP, Kind.WORKER_STOPPED}
)


@dataclass(frozen=True, kw_only=True)
class Fault:
    number: int
    kind: Kind
    gap: float  # seconds after the fault before
    pick: float  # which of the candidates, in [0, 1)
    training: bool  # a worker's: only once its attempt has trained some steps; else at any moment
    lead: float  # seconds from choosing a worker to hitting it: at no fixed place of its work
    seconds: float  # how long it lasts: down, frozen, full, delayed
    trainer_first: bool  # of a stopped worker: who of it wakes first

    def __str__(self) -> str:
        moment = "training" if self.training else "any moment"
        detail = f", {moment} +{self.lead:.2f} s" if self.kind in OF_A_WORKER else ""
        return (
            f"{self.number:3d} +{self.gap:.2f} s {self.kind}, pick {self.pick:.3f}"
            f"{detail}, {self.seconds:.2f} s, "
            f"{'trainer' if self.trainer_first else 'supervisor'} first"
        )


def plan(seed: int, kills: int, *, postgres: bool) -> list[Fault]:
    parts = {k: n for k, n in KILLS.items() if postgres or k is not Kind.POSTGRES}
    kinds = _share_out(kills, parts)
    for kind, rate in OTHERS.items():
        kinds += [kind] * max(1, int(rate * kills))
    random_ = random.Random(seed)
    random_.shuffle(kinds)
    return [_fault(number, kind, random_) for number, kind in enumerate(kinds, 1)]


def is_kill(kind: Kind) -> bool:
    return kind in KILLS


def _fault(number: int, kind: Kind, random_: random.Random) -> Fault:
    return Fault(
        number=number,
        kind=kind,
        gap=random_.uniform(0.1, 1.3),
        pick=random_.random(),
        training=random_.random() < 0.7,
        lead=random_.uniform(0.0, 0.8),
        seconds=random_.uniform(*_duration(kind)),
        trainer_first=random_.random() < 0.5,
    )


def _duration(kind: Kind) -> tuple[float, float]:
    match kind:
        case Kind.BROKER_FROZEN:
            return 2.0, 7.0  # on both sides of the clients' timeout of 5 s
        case Kind.BELLS_DELAYED | Kind.DISK_FULL:
            return 1.0, 5.0
        case _:
            return 0.0, 1.0


def _share_out(total: int, parts: Mapping[Kind, int]) -> list[Kind]:
    """Largest remainders, so that the sum is right."""
    whole = sum(parts.values())
    exact = {kind: total * part / whole for kind, part in parts.items()}
    counts = {kind: int(share) for kind, share in exact.items()}
    by_remainder = sorted(parts, key=lambda kind: counts[kind] - exact[kind])
    for kind in by_remainder[: total - sum(counts.values())]:
        counts[kind] += 1
    return [kind for kind, count in counts.items() for _ in range(count)]
