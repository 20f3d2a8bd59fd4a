"""Carrying out a plan: each fault hits what is there to be hit, and what was hit is noted."""

import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import psutil
import redis

from benchmarks.reliability.disk import SmallDisk
from benchmarks.reliability.family import Family, send
from benchmarks.reliability.lasting import Lasting, Outage, StoppedWorker, freeze
from benchmarks.reliability.schedule import OF_A_WORKER, Fault, Kind
from benchmarks.reliability.service import Service
from benchmarks.reliability.snapshot import OpenJob, Snapshot, is_locked
from benchmarks.servers import PostgresProcess
from cli.children import Child
from store.doorbell import QUEUE, CeleryDoorbell

QUEUE_KEY = f"mrq:{QUEUE}"  # with the prefix of store.doorbell
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Hit:
    fault: Fault
    at_ms: int  # this host's clock, which the databases of the campaign share
    job: OpenJob | None = None  # of the worker that was hit

    def to_json(self) -> dict[str, Any]:
        job = None if self.job is None else asdict(self.job)
        return {"number": self.fault.number, "kind": self.fault.kind, "job": job}


class Injector:
    def __init__(
        self,
        service: Service,
        postgres: PostgresProcess | None,
        disk: SmallDisk | None,
        say: Callable[[str], None],
    ) -> None:
        self._service = service
        self._postgres = postgres
        self._disk = disk
        self._say = say
        self._lasting: list[Lasting] = []
        self.woken: list[StoppedWorker] = []

    @property
    def stopped(self) -> list[StoppedWorker]:
        return [each for each in self._lasting if isinstance(each, StoppedWorker)]

    @property
    def outage(self) -> bool:
        """Something that every job needs is away right now, and that is our doing."""
        down = [r for r in self._service.reconcilers if not self._service.is_up(r)]
        everybody = len(down) == len(self._service.reconcilers)
        away = [each for each in self._lasting if isinstance(each, Outage) or each.locks]
        return everybody or bool(away)

    def possible(self, kind: Kind) -> bool:
        return kind is not Kind.DISK_FULL or self._disk is not None

    def tick(self, seen: Snapshot | None) -> None:
        """None while the database is away."""
        for each in [each for each in self._lasting if each.due(seen)]:
            self._end(each)

    def relent(self) -> None:
        for each in list(self._lasting):
            self._end(each)

    def _end(self, each: Lasting) -> None:
        each.end()
        self._lasting.remove(each)
        if isinstance(each, StoppedWorker):
            how = "while its successor worked" if each.met_successor else "without a successor"
            how = "inside a transaction" if each.locks else how
            seconds = time.monotonic() - each.began
            self._say(f"    {each.child.name} woke up after {seconds:.1f} s, {how}")
            self.woken.append(each)

    def inject(self, fault: Fault, seen: Snapshot) -> Hit | None:
        """None when there is nothing to be hit now: ask again."""
        if fault.kind in OF_A_WORKER:
            return self._hit_worker(fault, seen)
        at_ms = time.time_ns() // 1_000_000
        done = self._hit_service(fault, seen)
        return Hit(fault=fault, at_ms=at_ms) if done else None

    def _hit_worker(self, fault: Fault, seen: Snapshot) -> Hit | None:
        if fault.kind is Kind.WORKER_STOPPED and self.stopped:
            return None
        candidates = self._candidates(fault, seen)
        if not candidates:
            return None
        child, job = _pick(candidates, fault.pick)
        time.sleep(fault.lead)
        at_ms = time.time_ns() // 1_000_000
        try:
            family = Family.of(child.pid)
        except psutil.NoSuchProcess:
            return None
        if not self._strike(fault, child, family, job):
            return None
        return Hit(fault=fault, at_ms=at_ms, job=job)

    def _candidates(self, fault: Fault, seen: Snapshot) -> list[tuple[Child, OpenJob]]:
        """Workers that have a job. One that is stopped is left alone, and so is who works on its
        job: the two are to meet."""
        stopped = self.stopped
        busy = [
            (child, job)
            for child in self._service.workers
            if self._service.is_up(child)
            and (job := seen.of_worker(f"{socket.gethostname()}-{child.pid}")) is not None
        ]
        return [
            (child, job)
            for child, job in busy
            if all(each.child is not child and each.job.id != job.id for each in stopped)
            and (job.trains or not fault.training)
        ]

    def _strike(self, fault: Fault, child: Child, family: Family, job: OpenJob) -> bool:
        match fault.kind:
            case Kind.POOL_CHILD if family.pool is not None:
                send(family.pool, signal.SIGKILL)
            case Kind.TRAINER if family.trainer is not None:
                send(family.trainer, signal.SIGKILL)
            case Kind.WORKER_GROUP:
                family.kill()
                self._service.kill(child, fault.seconds)
            case Kind.WORKER_MAIN:
                self._service.kill(child, fault.seconds)
            case Kind.WORKER_STOPPED if family.trainer is not None:
                family.stop()
                locks = is_locked(self._service.settings.database_url)
                stopped = StoppedWorker(child, family, job, fault.trainer_first, locks)
                self._lasting.append(stopped)
                return not locks  # else once more: it is to meet a successor
            case _:
                return False
        return True

    def _hit_service(self, fault: Fault, seen: Snapshot) -> bool:
        service = self._service
        up = [reconciler for reconciler in service.reconcilers if service.is_up(reconciler)]
        match fault.kind:
            case Kind.SERVER if service.server is not None and service.is_up(service.server):
                service.kill(service.server, fault.seconds)
            case Kind.RECONCILER if up:
                service.kill(_pick(up, fault.pick), fault.seconds)
            case Kind.RECONCILERS if up:
                for reconciler in up:
                    service.kill(reconciler, fault.seconds)
            case Kind.POSTGRES if self._postgres is not None and self._postgres.process:
                self._postgres.stop(signal.SIGKILL)
                self._lasting.append(Outage(fault.seconds, self._postgres.start))
            case Kind.DISK_FULL if self._disk is not None:
                self._disk.fill()
                self._lasting.append(Outage(fault.seconds, self._disk.empty))
            case _:
                broken = any(isinstance(each, Outage) and each.is_broker for each in self._lasting)
                return not broken and self._hit_broker(fault, seen)
        return True

    def _hit_broker(self, fault: Fault, seen: Snapshot) -> bool:
        broker = self._service.broker
        assert broker.process is not None
        match fault.kind:
            case Kind.BROKER | Kind.BROKER_WIPED:
                broker.stop(signal.SIGKILL)
                if fault.kind is Kind.BROKER_WIPED:
                    broker.wipe()
                self._lasting.append(Outage(fault.seconds, broker.start, is_broker=True))
            case Kind.BROKER_FROZEN:
                self._lasting.append(freeze(broker.process.pid, fault.seconds))
            case Kind.BELLS_DOUBLED:
                doorbell = CeleryDoorbell(broker.url)
                for job in seen.jobs:  # those that run, too
                    doorbell.ring(job.id)
                doorbell.close()
            case Kind.BELLS_LOST:
                self._take_bells()
            case Kind.BELLS_DELAYED:
                bells = self._take_bells()
                self._lasting.append(
                    Outage(fault.seconds, lambda: self._put_back(bells), is_broker=True)
                )
            case _:
                return False
        return True

    def _take_bells(self) -> list[bytes]:
        url = self._service.broker.url
        with redis.Redis.from_url(url, socket_timeout=5) as client, client.pipeline() as both:
            both.lrange(QUEUE_KEY, 0, -1)
            both.delete(QUEUE_KEY)
            bells, _ = both.execute()
        return list(bells)

    def _put_back(self, bells: list[bytes]) -> None:
        if bells:
            with redis.Redis.from_url(self._service.broker.url, socket_timeout=5) as client:
                client.rpush(QUEUE_KEY, *bells)


def _pick(candidates: Sequence[T], pick: float) -> T:
    return candidates[int(pick * len(candidates))]
