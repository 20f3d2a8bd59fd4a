"""`mrq up --servers 2`: two processes on one port, and each on one of its own."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest

from cli.embedded import RunningService, embedded_service
from store.database import Database
from store.schema import migrate
from store.settings import Settings
from tests.app.driving import trained_job

BODY = {"observation": [1.0, 0.5, 0.25]}
CONNECTIONS = 32


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    settings = Settings(data_dir=tmp_path)
    database = Database(settings.database_url)
    migrate(database)
    trained_job(database, settings, name="swing")
    database.dispose()
    with embedded_service(tmp_path, servers=2) as service:
        yield service


def act(service: RunningService, url: str) -> int:
    """The version that acts; on a connection of its own."""
    headers = {"Authorization": f"Bearer {service.key}"}
    answer = httpx2.post(f"{url}/policies/swing/act", json=BODY, headers=headers, timeout=30)
    assert answer.status_code == 200
    version: int = answer.json()["version"]
    return version


def answered(service: RunningService, url: str) -> int:
    headers = {"Authorization": f"Bearer {service.key}"}
    text = httpx2.get(f"{url}/metrics", headers=headers, timeout=30).text
    name = "mrq_act_requests_total{"
    return sum(int(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def await_version(service: RunningService, url: str, version: int) -> None:
    until = time.monotonic() + 30
    while act(service, url) != version:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_two_servers_share_a_port_and_what_is_promoted(service: RunningService) -> None:
    first, second = service.alone
    for url in service.alone:
        await_answers(url)
        assert act(service, url) == 1
    for _ in range(CONNECTIONS):
        act(service, service.url)
    shares = [answered(service, url) - 1 for url in service.alone]
    assert sum(shares) == CONNECTIONS
    assert all(shares)

    for number, url in enumerate(service.alone, 1):
        headers = {"Authorization": f"Bearer {service.key}"}
        session = httpx2.post(f"{url}/policies/swing/sessions", json={}, headers=headers).json()
        assert session["owner"] == f"server-{number}"
        assert session["session_id"].startswith(f"ses_server-{number}_")

    with service.client() as client:
        checkpoint = client.get("/policies/swing").json()["checkpoint_id"]
    promotion = {"checkpoint_id": checkpoint, "name": "swing"}
    headers = {"Authorization": f"Bearer {service.key}"}
    assert httpx2.post(f"{first}/policies", json=promotion, headers=headers).status_code == 201
    assert act(service, first) == 2
    await_version(service, second, 2)

    killed = next(each for each in processes() if "app.serve" in each.cmdline())
    killed.kill()
    for _ in range(CONNECTIONS):  # some of them wait for the one that is started anew
        assert act(service, service.url) == 2


def await_answers(url: str) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            assert httpx2.get(f"{url}/healthz", timeout=30).status_code == 200
            return
        except httpx2.TransportError:
            assert time.monotonic() < until
            time.sleep(0.1)


def processes() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)
