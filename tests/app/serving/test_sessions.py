"""Sessions: the server holds the frames, and one frame comes with each request."""

import asyncio
import io
from collections.abc import Iterator
from typing import Any

import httpx2
import numpy as np
import pytest
from fastapi import FastAPI
from numpy.typing import NDArray
from sqlalchemy import select
from starlette.testclient import TestClient

from app.refusals import SequenceGap
from app.serving.details import Details
from app.serving.history import Episode, FrameForm
from mrq_core.observations import FrameHistory, ObservationForm, wire_space
from mrq_core.spaces import Box, Discrete
from store.database import Database
from store.settings import Settings
from store.tables import LoggedAction
from tests.app.bundles import CONTINUOUS, DISCRETE, OBSERVATION, linear_bundle, pixel_bundle
from tests.app.driving import trained_job
from tests.app.learned import learned, rows

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SHAPE = (3, 40, 36)
FORM = ObservationForm("vector", (3,), 4)
RAW = {"Content-Type": "application/octet-stream", "Accept": "application/json"}


@pytest.fixture(autouse=True)
def _trained(database: Database, settings: Settings) -> None:
    trained_job(database, settings, name="swing")


@pytest.fixture
def deep(database: Database, settings: Settings) -> None:
    """MR.Q's own, of four observations."""
    trained_job(database, settings, learned(CONTINUOUS, form=FORM).bundle, name="deep")


@pytest.fixture
def seen(database: Database, settings: Settings) -> None:
    trained_job(database, settings, pixel_bundle(2, SHAPE), name="seen")


def opened(client: TestClient, reference: str = "swing") -> Any:
    answer = client.post(f"/policies/{reference}/sessions")
    assert answer.status_code == 201, answer.text
    return answer.json()


def act(client: TestClient, reference: str, **body: Any) -> Any:
    return client.post(f"/policies/{reference}/act", json=body).json()


def stacks(form: ObservationForm, frames: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """As training stacks them."""
    history = FrameHistory(form)
    for index, frame in enumerate(frames):
        (history.append if index else history.begin)(frame)
        yield history.frames


def test_it_acts_as_on_frames_stacked_by_hand(client: TestClient, deep: None) -> None:
    session = opened(client, "deep")
    assert (session["history"], session["t"], session["version"]) == (4, 0, 1)
    for begins in (False, True):  # twice, the second time after a reset
        frames = rows(9 + begins)
        for t, (frame, stack) in enumerate(zip(frames, stacks(FORM, frames), strict=True)):
            body = {"observation": frame.tolist(), "session_id": session["session_id"], "t": t}
            answer = act(client, "deep", **body, reset=begins and t == 0)
            assert answer["action"] == act(client, "deep", observation=stack.tolist())["action"]
            assert (answer["session_id"], answer["t"]) == (session["session_id"], t)


def test_pixels_come_as_bytes_one_frame_at_a_time(client: TestClient, seen: None) -> None:
    session = opened(client, "seen")["session_id"]
    frames = np.random.default_rng(0).integers(0, 256, (6, *SHAPE)).astype(np.uint8)
    for t, stack in enumerate(stacks(ObservationForm("pixels", SHAPE, 2), frames)):
        headers = {"X-Dtype": "uint8", "X-Shape": "3,40,36", "X-Session-Id": session, "X-T": str(t)}
        if t == 0:
            headers["X-Reset"] = "true"
        content = frames[t].tobytes()
        answer = client.post("/policies/seen/act", content=content, headers=RAW | headers)
        assert answer.json()["t"] == t, answer.text
        assert answer.json()["action"] == act(client, "seen", observation=stack.tolist())["action"]


def test_an_array_answers_a_session_too(client: TestClient, seen: None) -> None:
    session = opened(client, "seen")["session_id"]
    file = io.BytesIO()
    np.save(file, np.zeros(SHAPE, np.uint8))
    headers = {"Content-Type": "application/x-npy", "X-Session-Id": session}
    for t in range(2):
        answer = client.post(
            "/policies/seen/act", content=file.getvalue(), headers=headers | {"X-T": str(t)}
        )
        assert np.load(io.BytesIO(answer.content)) == 0


def test_a_plain_policy_has_sessions_of_one_frame(client: TestClient) -> None:
    session = opened(client)
    assert session["history"] == 1
    for t in range(2):
        body = {"observation": [0.5, t, 0], "mode": "sample", "seed": 3}
        answer = act(client, "swing", **body, session_id=session["session_id"], t=t)
        assert answer["action"] == act(client, "swing", **body)["action"]
    path = f"/policies/swing/sessions/{session['session_id']}"
    assert client.get(path).json()["t"] == 2


def step(client: TestClient, session: str, t: int, **more: Any) -> Any:
    return act(client, "swing", observation=[0, 0, 0], session_id=session, t=t, **more)


def test_a_gap_is_told_with_what_is_next(client: TestClient) -> None:
    session = opened(client)["session_id"]
    assert step(client, session, 1)["expected_t"] == 0
    step(client, session, 0)
    for t, more, expected in (
        (0, {}, 1),
        (2, {}, 1),
        (1, {"reset": True}, 0),
    ):
        problem = step(client, session, t, **more)
        assert (problem["status"], problem["code"]) == (409, "sequence_gap")
        assert (problem["param"], problem["expected_t"]) == ("t", expected)
    assert step(client, session, 1)["t"] == 1


def test_a_step_that_failed_is_not_counted(client: TestClient, deep: None) -> None:
    session = opened(client, "deep")["session_id"]
    frames = rows(3)
    mine = {"session_id": session}
    act(client, "deep", observation=frames[0].tolist(), t=0, **mine)
    late = {"deadline_ms": 1e-6, "observation": [9, 9, 9]}
    assert act(client, "deep", t=1, **mine, **late)["code"] == "deadline_exceeded"
    wrong = act(client, "deep", observation=[1.0], t=1, **mine)
    assert wrong["code"] == "observation_shape_mismatch"
    assert wrong["param"] == "observation"
    failed_reset = act(client, "deep", t=0, reset=True, **mine, **late)
    assert failed_reset["code"] == "deadline_exceeded"
    answer = act(client, "deep", observation=frames[1].tolist(), t=1, **mine)
    *_, stack = stacks(FORM, frames[:2])
    assert answer["action"] == act(client, "deep", observation=stack.tolist())["action"]


def test_of_two_at_once_one_is_taken(client: TestClient, app: FastAPI) -> None:
    """Both are begun before either has its action."""
    assert client.portal is not None
    session = app.state.sessions.open(client.portal.call(app.state.policies.get, "swing"))
    form = FrameForm(OBSERVATION, 1)
    first, second = (session.episode.step(form, 0, False, rows(1)) for _ in range(2))
    session.episode.require_next(first)
    session.episode.advance(second)
    with pytest.raises(SequenceGap):  # before it is logged
        session.episode.require_next(first)
    with pytest.raises(SequenceGap) as refused:
        session.episode.advance(first)
    assert refused.value.details == {"expected_t": 1}
    assert step(client, session.id, 1)["t"] == 1


def test_of_two_at_once_one_is_logged(
    client: TestClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another request takes the step while the logged one waits for its pass."""
    session, others = opened(client)["session_id"], [1]
    found = Details.found

    async def overtaken(details: Details, *arguments: Any) -> Any:
        if others.pop():
            episode = (await asyncio.to_thread(step, client, session, 0))["t"]
            assert episode == 0
        return await found(details, *arguments)

    monkeypatch.setattr(Details, "found", overtaken)
    problem = step(client, session, 0, log=True)
    assert (problem["code"], problem["expected_t"]) == ("sequence_gap", 1)
    with database.read() as reading:
        assert not list(reading.scalars(select(LoggedAction)))


def test_requests_at_once_never_corrupt(client: TestClient) -> None:
    """Many of the same step, over the application itself."""
    session = opened(client)["session_id"]

    async def all_at_once() -> list[Any]:
        transport = httpx2.ASGITransport(app=client.app)
        headers = dict(client.headers)
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://test", headers=headers
        ) as web:
            body = {"observation": [0, 0, 0], "session_id": session, "t": 0}
            asked = [web.post("/policies/swing/act", json=body) for _ in range(5)]
            return [answer.status_code for answer in await asyncio.gather(*asked)]

    assert client.portal is not None
    assert sorted(client.portal.call(all_at_once)) == [200, 409, 409, 409, 409]
    assert step(client, session, 1)["t"] == 1


def test_the_version_is_pinned(
    client: TestClient, app: FastAPI, database: Database, settings: Settings
) -> None:
    session = opened(client)["session_id"]
    flipped = linear_bundle(weights=np.ones((3, 2), np.float32))
    trained_job(database, settings, flipped, name="swing")
    assert client.portal is not None
    client.portal.call(app.state.policies.moved, "swing")  # another process made it
    assert opened(client)["version"] == 2
    assert step(client, session, 0)["version"] == 1
    for reference, status in (("swing:1", 200), ("swing:2", 409), ("other", 409), ("swing@x", 200)):
        answer = client.get(f"/policies/{reference}/sessions/{session}")
        assert answer.status_code == status
        if status == 409:
            assert answer.json()["code"] == "session_of_another_policy"
    policy_id = opened(client, "swing:1")["policy_id"]
    assert client.get(f"/policies/{policy_id}/sessions/{session}").status_code == 200
    trained_job(database, settings, name="other")
    body = {"observation": [0, 0, 0], "session_id": session, "t": 1}
    assert act(client, "other", **body)["code"] == "session_of_another_policy"


def test_an_ended_or_unknown_session_is_gone(client: TestClient) -> None:
    session = opened(client)
    path = f"/policies/swing/sessions/{session['session_id']}"
    assert client.delete(path).status_code == 204
    for answer in (client.get(path), client.delete(path)):
        assert (answer.status_code, answer.json()["code"]) == (410, "session_expired")
    assert step(client, session["session_id"], 0)["code"] == "session_expired"
    assert step(client, "ses_nothing", 0)["code"] == "session_expired"
    assert client.post("/policies/none/sessions").status_code == 404


def test_one_of_another_process_says_whose_it_is(client: TestClient) -> None:
    mine = opened(client)["owner"]
    assert opened(client)["session_id"].startswith(f"ses_{mine}_")
    problem = step(client, "ses_0123abcd_ffff", 0)
    assert (problem["status"], problem["code"]) == (421, "session_elsewhere")
    assert problem["owner"] == "0123abcd"
    assert mine in problem["detail"]


def test_idle_sessions_end_and_give_room(client: TestClient, app: FastAPI, seen: None) -> None:
    now = [100.0]
    sessions = app.state.sessions
    sessions._clock, sessions._max_sessions = (lambda: now[0]), 2
    first, second = (opened(client)["session_id"] for _ in range(2))
    full = client.post("/policies/swing/sessions")
    assert (full.status_code, full.json()["code"]) == (429, "too_many_sessions")
    assert full.headers["retry-after"] == "1"
    now[0] += 299
    assert step(client, first, 0)["t"] == 0  # used, so it stays
    now[0] += 2
    assert step(client, second, 0)["code"] == "session_expired"
    sessions._max_bytes = 0
    assert client.post("/policies/seen/sessions").json()["code"] == "too_many_sessions"
    now[0] += 299
    assert (step(client, first, 1)["code"], sessions._size_bytes) == ("session_expired", 0)


def test_its_actions_are_logged_by_its_episodes(client: TestClient, database: Database) -> None:
    session = opened(client)["session_id"]
    for t, reset in ((0, False), (1, False), (0, True)):
        assert "action_id" in step(client, session, t, log=True, reset=reset)
    assert "action_id" in step(client, session, 1, log=True, episode="mine")
    with database.read() as read:
        logged = list(read.scalars(select(LoggedAction).order_by(LoggedAction.id)))
    places = [(row.episode, row.t) for row in logged]
    assert places == [(f"{session}:1", 0), (f"{session}:1", 1), (f"{session}:2", 0), ("mine", 1)]


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({}, "t_invalid", "t"),
    ({"t": -1}, "t_invalid", "t"),
    ({"t": 1.0}, "t_invalid", "t"),
    ({"t": True}, "t_invalid", "t"),
    ({"t": 0, "session_id": 7}, "session_invalid", "session_id"),
    ({"t": 0, "reset": 1}, "reset_invalid", "reset"),
    ({"t": 0, "state": None}, "session_with_state", "state"),
    ({"t": 0, "observations": [[0, 0, 0]]}, "history_with_batch", "observations"),
    ({"session_id": None, "reset": True}, "reset_invalid", "reset"),
    ({"session_id": None, "t": 0}, "log_invalid", "episode"),
    ({"t": 0, "episode": "e"}, "log_invalid", "episode"),
]


def test_what_no_session_takes(client: TestClient) -> None:
    session = opened(client)["session_id"]
    for body, code, param in WRONG:
        one = {} if "observations" in body else {"observation": [0, 0, 0]}
        problem = act(client, "swing", **(one | {"session_id": session} | body))
        told = problem["status"], problem["code"], problem["param"]
        assert told == (422, code, param), body


def test_a_batch_of_bytes_is_none_either(client: TestClient) -> None:
    headers = {"X-Shape": "1,3", "X-Session-Id": opened(client)["session_id"], "X-T": "0"}
    content = np.zeros(3, np.float32).tobytes()
    answer = client.post("/policies/swing/act", content=content, headers=RAW | headers)
    assert answer.json()["code"] == "history_with_batch"
    headers |= {"X-Shape": "3", "X-T": "x"}
    answer = client.post("/policies/swing/act", content=content, headers=RAW | headers)
    assert answer.json()["code"] == "header_invalid"


def test_frames_are_kept_exactly(client: TestClient) -> None:
    kind = ObservationForm("vector", (3,), 3)
    for dtype in ("uint8", "int16", "float32", "float64", "int64", "bool"):
        form = FrameForm(wire_space(Box((0,) * 3, (1,) * 3, (3,), dtype), kind), 3)
        scale = np.float32(0.1 if "float" in dtype else 1)
        frames = scale * np.random.default_rng(0).integers(0, 2, (5, 3)).astype(np.float32)
        episode = Episode()
        for t, (frame, stack) in enumerate(zip(frames, stacks(kind, frames), strict=True)):
            step = episode.step(form, t, False, frame[np.newaxis])
            episode.advance(step)
            assert step.rows.dtype == np.float32
            assert step.rows.tobytes() == stack.reshape(1, -1).astype(np.float32).tobytes()


def test_of_one_frame_nothing_is_kept(client: TestClient) -> None:
    form, frame = FrameForm(OBSERVATION, 1), rows(1)
    _, kept = form.after(None, frame)
    assert (kept.shape, kept.base) == ((0, 3), None)


def test_frames_of_any_space_are_kept(
    client: TestClient, database: Database, settings: Settings
) -> None:
    cells = wire_space(Discrete(3), ObservationForm("vector", (3,), 2))
    weights = np.random.default_rng(1).normal(size=(6, 2)).astype(np.float32)
    golden = np.eye(6, dtype=np.float32)
    bundle = linear_bundle(DISCRETE, weights, golden, observation_space=cells.to_json(), history=2)
    trained_job(database, settings, bundle, name="cells")
    session = opened(client, "cells")["session_id"]
    for t, (frame, stack) in enumerate([(2, [2, 2]), (0, [2, 0]), (1, [0, 1])]):
        answer = act(client, "cells", observation=frame, session_id=session, t=t)
        assert answer["action"] == act(client, "cells", observation=stack)["action"]
