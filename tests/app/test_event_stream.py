"""The live stream of a job, over a real port."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx2
import pytest

from app import event_stream
from store.database import Database
from store.lifecycle import cancel_job
from store.policies import succeed
from store.settings import Settings
from tests.app.driving import BEARER, claim, evaluate, progress, submit, trained_job

STREAM = BEARER | {"Accept": "text/event-stream"}


class Message(NamedTuple):
    id: str | None
    event: str
    data: Any


def messages(lines: Iterator[str]) -> Iterator[Message]:
    """Our own reading of the format: fields up to an empty line."""
    found: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            found[name] = value
        elif "event" in found:
            yield Message(found.get("id"), found["event"], json.loads(found["data"]))
            found = {}
        else:
            found = {}


@pytest.fixture
def read(serve: Callable[[], str]) -> Callable[..., Any]:
    base = serve()

    def start(job_id: str, **headers: str) -> Any:
        extra = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{base}/v1/jobs/{job_id}/events"
        return httpx2.stream("GET", url, headers=STREAM | extra, timeout=10)

    return start


def test_what_is_committed_is_told_until_the_end(
    read: Callable[..., Any], database: Database, settings: Settings
) -> None:
    job_id = submit(database)

    def train() -> None:
        taken = claim(database, settings)
        progress(database, taken, 500, loss=0.5)
        evaluate(database, taken, 1000, [1.0])
        succeed(database, taken, weights_sha256=None)

    with read(job_id) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["x-content-type-options"] == "nosniff"
        incoming = messages(answer.iter_lines())
        first = [next(incoming), next(incoming)]
        assert [(m.id, m.event) for m in first] == [("1", "status"), (None, "progress")]
        assert first[0].data["data"] == {"status": "queued"}
        assert first[1].data["queue_position"] == 1
        threading.Thread(target=train).start()
        rest = list(incoming)
    told = [(m.id, m.event) for m in rest if m.event != "progress"]
    assert told == [
        ("2", "status"),
        ("3", "evaluation"),
        ("4", "policy"),
        ("5", "status"),
        (None, "end"),
    ]
    last = [m for m in rest if m.event == "progress"][-1]
    assert last.data["status"] == "succeeded"
    assert last.data["progress"]["fraction"] == 1.0
    assert last.data["latest_metrics"] == {"step": 500, "loss": 0.5}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_client_that_comes_back_misses_nothing(
    read: Callable[..., Any], database: Database, settings: Settings
) -> None:
    job_id = trained_job(database, settings)
    with read(job_id) as answer:
        whole = list(messages(answer.iter_lines()))
    ids = [m.id for m in whole if m.id is not None]
    assert ids == ["1", "2", "3", "4", "5"]
    with read(job_id, Last_Event_ID="3") as answer:
        rest = list(messages(answer.iter_lines()))
    assert [m.id for m in rest if m.id is not None] == ["4", "5"]
    assert rest[-1].event == "end"
    with read(job_id, Last_Event_ID="5") as answer:
        assert [m.event for m in messages(answer.iter_lines())] == ["progress", "end"]
    with read(job_id, Last_Event_ID="x") as answer:
        assert answer.status_code == 422
    with read("job_none") as answer:
        assert answer.status_code == 404


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_more_events_than_one_page(
    read: Callable[..., Any],
    database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_stream, "PAGE", 2)
    job_id = trained_job(database, settings)
    with read(job_id) as answer:
        told = [m.id for m in messages(answer.iter_lines()) if m.id is not None]
    assert told == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_quiet_stream_is_kept_alive(
    read: Callable[..., Any], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "KEEP_ALIVE_SECONDS", 0.05)
    monkeypatch.setattr(event_stream, "POLL_SECONDS", 0.02)
    with read(submit(database)) as answer:
        lines = answer.iter_lines()
        assert any(line == ": keep-alive" for line in lines)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_when_the_client_is_gone_nobody_asks_the_database(
    read: Callable[..., Any], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "POLL_SECONDS", 0.02)
    polls: list[float] = []
    original = event_stream._read

    def counted(*arguments: Any) -> Any:
        polls.append(time.monotonic())
        return original(*arguments)

    monkeypatch.setattr(event_stream, "_read", counted)
    with read(submit(database)) as answer:
        lines = answer.iter_lines()  # dropping it would close the connection
        next(lines)
        seen = len(polls)
        until = time.monotonic() + 10
        while len(polls) < seen + 3:
            assert time.monotonic() < until, "not polling while somebody listens"
            time.sleep(0.01)
    until = time.monotonic() + 10
    while (time.monotonic() - polls[-1]) < 0.5:
        assert time.monotonic() < until, "still polling"
        time.sleep(0.05)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_database_that_is_away_for_a_moment_does_not_end_the_stream(
    read: Callable[..., Any], database: Database, settings: Settings, app: Any
) -> None:
    job_id = submit(database)
    away = settings.data_dir.with_name("away")
    with read(job_id) as answer:
        incoming = messages(answer.iter_lines())
        assert next(incoming).id == "1"
        app.state.database.dispose()
        database.dispose()
        settings.data_dir.rename(away)
        time.sleep(2 * event_stream.POLL_SECONDS)
        away.rename(settings.data_dir)
        cancel_job(database, job_id)
        assert [m.id for m in incoming if m.id is not None] == ["2"]
