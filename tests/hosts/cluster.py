"""The service on seven hosts that share no disk: as docs/how-to/several-machines.md sets it up."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import boto3
import httpx2

from benchmarks.reliability.jobs import SHORT_WAITS
from benchmarks.servers import ValkeyProcess, postgres_server, s3_server, valkey_server
from store.database import Database
from store.schema import migrate
from store.settings import Settings
from tests.buckets import S3_VARIABLES
from tests.e2e.service import API_KEY, Api
from tests.hosts.network import Host, Network, network

ROOT = Path(__file__).parent.parent.parent
BUCKET = "checkpoints"
WORKERS = ("worker-a", "worker-b")
WORKER = ("tests.hosts.impatient", "worker.celery_app")


@dataclass(kw_only=True)
class Cluster(Api):
    network: Network
    broker: ValkeyProcess
    environment: Mapping[str, str]

    def host(self, name: str) -> Host:
        return self.network.hosts[name]

    @cached_property
    def database(self) -> Database:
        """The test's own look, from the switch."""
        return Database(self.environment["MRQ_DATABASE_URL"])

    @cached_property
    def settings(self) -> Settings:
        given = {name: value for name, value in self.environment.items() if name[:4] == "MRQ_"}
        return Settings.model_validate({n[4:].lower(): value for n, value in given.items()})

    def start(self, name: str, *module: str, **more: str) -> subprocess.Popen[bytes]:
        host = self.host(name)
        environment = {**self.environment, "MRQ_DATA_DIR": str(host.folder), **more}
        return host.start(module[0], [sys.executable, "-m", *module], environment)

    def start_worker(self, name: str) -> None:
        self.start(name, *WORKER)

    def wait_until_ready(self, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while not self._answers():
            assert time.monotonic() < until, f"the server did not start: {self.logs()}"
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx2.TransportError:
            return False

    def require_health(self) -> None:
        """What `mrq doctor --files` finds, every checkpoint's bytes included."""
        doctor = self.host("server").start(
            "doctor",
            [sys.executable, "-m", "cli.main", "doctor", "--files"],
            {**self.environment, "MRQ_DATA_DIR": str(self.host("server").folder)},
        )
        assert doctor.wait(60) == 0, self.logs()

    def heal(self) -> None:
        """As it was at the start, whatever a test has left."""
        for host in self.network.hosts.values():
            host.heal()
        for name in WORKERS:
            if not self.host(name).pids():
                self.start_worker(name)

    def logs(self) -> str:
        return "\n".join(host.logs() for host in self.network.hosts.values())


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """This thread is on the switch for as long, and reaches what the hosts reach."""
    with ExitStack() as stack:
        net = stack.enter_context(network(folder))
        for name in ("server", "reconciler", "database", "broker", "storage", *WORKERS):
            net.add(name)
        with net.hosts["database"].namespace.entered():
            database = stack.enter_context(postgres_server(address=net.hosts["database"].address))
        with net.hosts["broker"].namespace.entered():
            broker = stack.enter_context(valkey_server(address=net.hosts["broker"].address))
        with net.hosts["storage"].namespace.entered():
            storage = stack.enter_context(s3_server(net.hosts["storage"].address))
        environment = {
            **{name: value for name, value in os.environ.items() if name[:4] != "MRQ_"},
            **SHORT_WAITS,
            **S3_VARIABLES,
            "MRQ_STORAGE_WAIT_SECONDS": "1",
            "MRQ_DATABASE_URL": database.url,
            "MRQ_BROKER_URL": broker.url,
            "MRQ_ARTIFACTS_URL": f"s3://{BUCKET}/training",
            "AWS_ENDPOINT_URL": storage,
            "PYTHONUNBUFFERED": "1",
            # A package from PyPI may bring a `tests` of its own.
            "PYTHONPATH": str(ROOT),
        }
        stack.enter_context(net.entered())
        client = stack.enter_context(
            httpx2.Client(
                base_url=f"http://{net.hosts['server'].address}:8000",
                headers={"Authorization": f"Bearer {API_KEY}"},
                timeout=60.0,
            )
        )
        made = Cluster(
            client=client,
            network=net,
            broker=broker,
            environment=environment,
        )
        stack.callback(made.database.dispose)
        _fill(made, storage)
        _start(made)
        yield made


def _fill(made: Cluster, storage: str) -> None:
    """What the service finds: a schema and a bucket."""
    migrate(made.database)
    client = boto3.client(
        "s3",
        endpoint_url=storage,
        aws_access_key_id=S3_VARIABLES["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=S3_VARIABLES["AWS_SECRET_ACCESS_KEY"],
        region_name=S3_VARIABLES["AWS_DEFAULT_REGION"],
    )
    client.create_bucket(Bucket=BUCKET)
    client.close()


def _start(made: Cluster) -> None:
    for name in WORKERS:
        made.start_worker(name)
    made.start("server", "app.serve", "--host", "0.0.0.0", MRQ_API_KEY=API_KEY)
    made.start("reconciler", "worker.reconciler")
    made.wait_until_ready()
