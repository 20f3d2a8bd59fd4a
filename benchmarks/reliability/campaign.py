"""One campaign: undisturbed runs first, then the plan, then calm until every job has ended."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.reliability.checks import CARRIED_OUT, LEFTOVERS, check_jobs, finding
from benchmarks.reliability.client import Client, Submission
from benchmarks.reliability.deliveries import twice_answered
from benchmarks.reliability.disk import SmallDisk
from benchmarks.reliability.faults import Hit, Injector
from benchmarks.reliability.jobs import LONG, SPECS
from benchmarks.reliability.lasting import StoppedWorker
from benchmarks.reliability.leftovers import left_after
from benchmarks.reliability.schedule import Fault, plan
from benchmarks.reliability.service import Layout, Service, running
from benchmarks.reliability.snapshot import Snapshot, look
from benchmarks.reliability.watch import Findings, Watch
from benchmarks.servers import PostgresProcess, postgres_server, valkey_server
from store.database import Database
from store.settings import Settings

TICK_SECONDS = 0.1
SAMPLE_SECONDS = 3.0
FILES_EVERY = 3  # samples
TO_HIT_SECONDS = 90.0  # for a fault that finds nothing to hit
TO_END_SECONDS = 300.0


@dataclass(frozen=True, kw_only=True)
class Order:
    """`pace`: of the plan's pauses between faults; below 1 they are shorter. `waiting`: jobs that
    have not ended, beside those that a worker may be training."""

    kills: int
    seed: int
    postgres: bool
    pace: float = 1.0
    waiting: int = 2
    specs: Sequence[str] = LONG
    layout: Layout = field(default_factory=Layout)


@dataclass
class Report:
    """What a campaign saw."""

    hits: list[Hit] = field(default_factory=list)
    impossible: list[Fault] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    stops: list[StoppedWorker] = field(default_factory=list)


class Campaign:
    def __init__(
        self,
        order: Order,
        service: Service,
        postgres: PostgresProcess | None,
        disk: SmallDisk | None,
        say: Callable[[str], None],
    ) -> None:
        self.service = service
        self.database = Database(service.settings.database_url)
        self.watch = Watch(self.database, service, patience_of(service.settings), Findings(say))
        self.client = Client(service.url)
        self.report = Report()
        self._order = order
        self._injector = Injector(service, postgres, disk, say)
        self._say = say
        self._seen = Snapshot()
        self._looked = False  # the database answered
        self._sampled_at = 0.0

    def run(self) -> None:
        self._phase("undisturbed", self._run_undisturbed)
        self._phase("faults", self._run_plan)
        self._phase("until all ended", self._run_out)

    def _phase(self, name: str, phase: Callable[[], None]) -> None:
        began = time.monotonic()
        phase()
        self.report.seconds[name] = round(time.monotonic() - began, 1)
        self._say(f"{name}: {self.report.seconds[name]} s")

    def _run_undisturbed(self) -> None:
        for name in self._order.specs:
            self._submit(name)
        self._until_ended()

    def _run_plan(self) -> None:
        for fault in plan(self._order.seed, self._order.kills, postgres=self._order.postgres):
            if not self._injector.possible(fault.kind):
                self.report.impossible.append(fault)
                continue
            self._turn_for(fault.gap * self._order.pace)
            self._carry_out(fault)
        while self._injector.stopped:  # the last one, too, is to meet its successor
            self._turn()
        self._injector.relent()
        self.report.stops = self._injector.woken

    def _carry_out(self, fault: Fault) -> None:
        until = time.monotonic() + TO_HIT_SECONDS
        while (hit := self._injector.inject(fault, self._seen)) is None:
            if time.monotonic() > until:
                self.watch.findings.add([finding(CARRIED_OUT, "", f"nothing to hit: {fault}")])
                return
            self._turn()
        self.report.hits.append(hit)
        whom = "" if hit.job is None else f" ({hit.job.id} at step {hit.job.step})"
        self._say(f"{fault}{whom}")

    def _run_out(self) -> None:
        self._until_ended()
        self.client.close()
        self.watch.sample(outage=False, files=True)

    def _until_ended(self) -> None:
        until = time.monotonic() + TO_END_SECONDS
        while time.monotonic() < until:
            unanswered = self.client.unanswered  # before the look: what is answered is in it
            self._turn(submit=False)
            if not unanswered and self._looked and not self._seen.jobs:
                return

    def _turn_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while True:
            self._turn()
            if time.monotonic() >= until:
                return

    def _turn(self, *, submit: bool = True) -> None:
        time.sleep(TICK_SECONDS)
        self.service.watch()
        seen = look(self.database)
        outage = seen is None or self._injector.outage
        self._seen, self._looked = seen or Snapshot(), seen is not None
        self._injector.tick(seen)
        if seen is not None:
            stopped = [each.child.name for each in self._injector.stopped]
            self.watch.look_for_stuck(seen, outage=outage, stopped=stopped)
            if submit:
                self._keep_busy(seen)
        if time.monotonic() - self._sampled_at > SAMPLE_SECONDS:
            files = self.watch.samples % FILES_EVERY == 0
            self.watch.sample(outage=outage, files=files)
            self._sampled_at = time.monotonic()

    def _keep_busy(self, seen: Snapshot) -> None:
        wanted = self._order.layout.workers + self._order.waiting
        if len(seen.jobs) + self.client.unanswered < wanted:
            count = len(self.client.submissions)
            self._submit(self._order.specs[count % len(self._order.specs)])

    def _submit(self, name: str) -> None:
        number = len(self.client.submissions)
        body = {**SPECS[name], "name": f"{name}-{number}"}
        key = f"campaign-{self._order.seed}-{number}"
        self.client.submit(Submission(key, name, body, twice=number % 4 == 0))


def patience_of(settings: Settings) -> float:
    return 2 * (settings.lease_seconds + settings.reap_seconds)


@contextmanager
def campaigned(
    order: Order, folder: Path, say: Callable[[str], None]
) -> Iterator[tuple[Campaign, str]]:
    """Runs and checks. Yields it with the database's version while the database can still be asked;
    findings are in its watch."""
    mark = f"{os.getpid()}-{time.time_ns()}"
    disk = _small_disk(folder / "data" / "artifacts", say)
    with ExitStack() as servers:
        if disk is not None:
            servers.callback(disk.unmount)
        broker = servers.enter_context(valkey_server(persistent=True))
        postgres = None
        if order.postgres:
            postgres = servers.enter_context(postgres_server(durable=True))
        url = "" if postgres is None else postgres.url
        service = Service(folder / "data", url, broker, order.layout, mark, say)
        with running(service):
            campaign = Campaign(order, service, postgres, disk, say)
            campaign.run()
        findings = campaign.watch.findings
        findings.add(check_jobs(campaign.database, campaign.client.submissions))
        findings.add(twice_answered(service.settings.log_dir))
        left = left_after(mark, seconds=20.0)
        findings.add(finding(LEFTOVERS, str(each.pid), " ".join(each.cmdline())) for each in left)
        for each in left:
            each.kill()
        yield campaign, database_version(campaign.database)


def _small_disk(folder: Path, say: Callable[[str], None]) -> SmallDisk | None:
    folder.mkdir(parents=True)
    try:
        return SmallDisk(folder)
    except OSError as error:
        say(f"no disk is filled: mounting a small one is not allowed here ({error})")
        return None


def database_version(database: Database) -> str:
    postgres = database.engine.dialect.name == "postgresql"
    with database.engine.connect() as connection:
        query = "SHOW server_version" if postgres else "SELECT sqlite_version()"
        version = connection.exec_driver_sql(query).scalar_one()
    return f"{'PostgreSQL' if postgres else 'SQLite'} {version}"
