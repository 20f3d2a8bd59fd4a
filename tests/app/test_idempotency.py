"""One key, fifty clients at once, the real server behind a real port."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx2
from sqlalchemy import func, select

from store.database import Database
from store.tables import Event, IdempotencyRecord, Job
from tests.app.driving import BEARER

CLIENTS = 50
BODY = {"environment": {"id": "Pendulum-v1"}, "budget": {"total_steps": 1000}}


def test_fifty_requests_with_one_key_make_one_job(
    serve: Callable[[], str], database: Database
) -> None:
    url = serve()
    together = Barrier(CLIENTS)

    def post(_: int) -> httpx2.Response:
        with httpx2.Client(base_url=url, headers=BEARER, timeout=60.0) as client:
            together.wait()
            return client.post("/jobs", json=BODY, headers={"Idempotency-Key": "once"})

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(post, range(CLIENTS)))
    assert {answer.status_code for answer in answers} == {201}
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert len({answer.json()["id"] for answer in answers}) == 1
    with database.read() as session:
        for table in (Job, Event, IdempotencyRecord):
            assert session.scalar(select(func.count()).select_from(table)) == 1
