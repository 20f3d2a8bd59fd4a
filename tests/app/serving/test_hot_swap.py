"""Versions come and go under load: nothing fails, and no answer mixes two of them."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx2
import numpy as np
import pytest

from app.serving import bundle
from app.serving.bundle import Forward
from app.serving.bundle import _forward as bundle_forward
from mrq_core.spaces import Floats
from store.database import Database
from store.settings import Settings
from tests.app.bundles import WEIGHTS, linear_bundle
from tests.app.driving import BEARER, best_checkpoint_of, trained_job

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SWAPS = 25
CLIENTS = 16
OBSERVATION = [1.0, 0.5, 0.25]
CENTRE, HALF = np.array([0.0, 5.0]), np.array([2.0, 5.0])


def action_of(weights: Any) -> Any:
    return CENTRE + HALF * np.tanh(np.array(OBSERVATION) @ weights)


@contextmanager
def load(url: str, answers: list[Any]) -> Iterator[None]:
    """`CLIENTS` that ask by name, one after the other, until it ends."""
    stop = threading.Event()

    def ask() -> None:
        body = {"observation": OBSERVATION}
        with httpx2.Client(base_url=url, headers=BEARER, timeout=30) as client:
            while not stop.is_set():
                answer = client.post("/policies/swing/act", json=body)
                answers.append((answer.status_code, answer.headers, answer.json()))

    with ThreadPoolExecutor(CLIENTS) as pool:
        asking = [pool.submit(ask) for _ in range(CLIENTS)]
        try:
            yield
        finally:
            stop.set()
    for each in asking:
        each.result()


def slow_forward(session: Any, output: str) -> Forward:
    forward = bundle_forward(session, output)

    def slowly(rows: Floats) -> Floats:
        time.sleep(0.003)
        return forward(rows)

    return slowly


@pytest.mark.parametrize("passes", ["short", "long"])
def test_each_answer_is_one_versions(
    serve: Callable[[], str],
    database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    passes: str,
) -> None:
    """Long ones run on the thread, so that versions change while they do."""
    if passes == "long":
        monkeypatch.setattr(bundle, "_forward", slow_forward)
    weights = {"a": WEIGHTS, "b": -WEIGHTS}
    checkpoints = {}
    for name, each in weights.items():
        job_id = trained_job(database, settings, linear_bundle(weights=each), name=f"job-{name}")
        checkpoints[name] = best_checkpoint_of(database, job_id)
    answers: list[Any] = []
    versions: dict[int, str] = {}
    url = serve()
    with httpx2.Client(base_url=url, headers=BEARER, timeout=30) as client:

        def promote(name: str) -> None:
            body = {"checkpoint_id": checkpoints[name], "name": "swing"}
            version = client.post("/policies", json=body).json()["version"]
            versions[version] = name

        def version_now() -> Any:
            body = {"observation": OBSERVATION}
            return client.post("/policies/swing/act", json=body).json()["version"]

        promote("a")
        with load(url, answers):
            for swap in range(SWAPS):
                promote("b" if swap % 2 == 0 else "a")
                assert version_now() == max(versions)  # of this very server: at once

    assert len(answers) > SWAPS
    assert {status for status, _, _ in answers} == {200}
    seen = {body["version"] for _, _, body in answers}
    assert len(seen) > SWAPS // 2
    for _, headers, body in answers:
        expected = action_of(weights[versions[body["version"]]])
        assert np.abs(np.array(body["action"]) - expected).max() <= 1e-5 * 10
        assert headers["x-policy-version"] == str(body["version"])
        assert body["checkpoint_id"] == checkpoints[versions[body["version"]]]
