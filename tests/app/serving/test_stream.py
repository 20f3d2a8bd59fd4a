"""`/policies/{reference}/stream`, by a WebSocket client on a real socket."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import msgspec
import numpy as np
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from app.serving.action_log import ActionLog
from mrq_core.observations import ObservationForm
from store.database import Database
from store.errors import NotFound
from store.settings import Settings
from store.tables import LoggedAction
from tests.app.bundles import CONTINUOUS, DISCRETE, linear_bundle, pixel_bundle
from tests.app.driving import trained_job
from tests.app.learned import learned, rows
from tests.app.serving.streaming import JSON, PACKED, ROW, Server, packed
from tests.app.serving.test_sessions import stacks

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SHAPE = (3, 40, 36)
FORM = ObservationForm("vector", (3,), 4)


@pytest.fixture
def server(serve: Callable[[], str], database: Database, settings: Settings) -> Iterator[Server]:
    trained_job(database, settings, name="swing")
    with closing(Server(serve())) as server:
        yield server


def test_it_says_first_what_it_takes(server: Server) -> None:
    with server.loop() as loop:
        told = loop.metadata
        policy = server.http.get("/policies/swing").json()
        for name in ("name", "version", "history", "observation_space", "action_space"):
            assert told[name] == policy[name]
        assert (told["type"], told["policy_id"]) == ("metadata", policy["id"])
        assert told["frame_space"] == policy["observation_space"]
        assert told["max_deadline_ms"] == 60_000
        assert loop.socket.subprotocol is None
        answer = loop.step(0)
        assert answer.keys() == {"t", "action", "version", "timing"}
        assert answer["timing"].keys() == {"queue_us", "compute_us", "total_us"}
        assert answer["action"] == server.act("swing", observation=ROW)["action"]


@pytest.mark.parametrize("protocol", [JSON, PACKED])
def test_it_acts_as_on_frames_stacked_by_hand(
    server: Server, database: Database, settings: Settings, protocol: str
) -> None:
    trained_job(database, settings, learned(CONTINUOUS, form=FORM).bundle, name="deep")
    with server.loop("deep", protocol) as loop:
        assert loop.socket.subprotocol == protocol
        for episode in range(2):
            frames = rows(6 + episode)
            for t, (frame, stack) in enumerate(zip(frames, stacks(FORM, frames), strict=True)):
                as_bytes = protocol == PACKED and episode == 1
                answer = loop.step(t, frame.tobytes() if as_bytes else frame.tolist())
                expected = server.act("deep", observation=stack.tolist())["action"]
                assert (answer["t"], answer["action"]) == (t, expected)
            assert loop.ask(type="reset")["type"] == "metadata"


@pytest.mark.parametrize("protocol", [JSON, PACKED])
def test_pixels(server: Server, database: Database, settings: Settings, protocol: str) -> None:
    trained_job(database, settings, pixel_bundle(2, SHAPE), name="seen")
    frames = np.random.default_rng(0).integers(0, 256, (4, *SHAPE)).astype(np.uint8)
    with server.loop("seen", protocol) as loop:
        for t, stack in enumerate(stacks(ObservationForm("pixels", SHAPE, 2), frames)):
            sent = frames[t].tobytes() if protocol == PACKED else frames[t].tolist()
            expected = server.act("seen", observation=stack.tolist())["action"]
            assert loop.step(t, sent)["action"] == expected


def test_frames_that_come_together_are_answered_in_their_order(server: Server) -> None:
    with server.loop() as loop:
        for t in range(50):
            loop.send(t=t, observation=[t / 50, 0, 0])
        assert [loop.receive()["t"] for _ in range(50)] == list(range(50))


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"t": 1, "observation": ROW}, "sequence_gap", "t"),
    ({"observation": ROW}, "t_invalid", "t"),
    ({"t": -1, "observation": ROW}, "t_invalid", "t"),
    ({"t": 0.5, "observation": ROW}, "t_invalid", "t"),
    ({"t": 0}, "observation_missing", "observation"),
    ({"t": 0, "observation": [1.0]}, "observation_shape_mismatch", "observation"),
    ({"t": 0, "observation": [1.0, 2.0, "3"]}, "observation_dtype", "observation"),
    ({"t": 0, "observation": [1e39, 0, 0]}, "observation_not_finite", "observation"),
    ({"t": 0, "observation": ROW, "x": 1}, "unknown_field", "x"),
    ({"t": 0, "observation": ROW, "mode": "best"}, "mode_unsupported", "mode"),
    ({"t": 0, "observation": ROW, "seed": 1}, "seed_without_sample", "seed"),
    ({"t": 0, "observation": ROW, "deadline_ms": 0}, "deadline_invalid", "deadline_ms"),
    ({"t": 0, "observation": ROW, "action_mask": [1, 1]}, "mask_unsupported", "action_mask"),
    ({"t": 0, "observation": ROW, "log": 1}, "log_invalid", "log"),
    ({"t": 0, "observation": ROW, "reward": 1.0}, "outcome_invalid", "reward"),
    ({"t": 0, "observation": ROW, "reward": "1"}, "outcome_invalid", "reward"),
    ({"t": 0, "observation": ROW, "terminated": True}, "outcome_invalid", "reward"),
    ({"t": 0, "observation": ROW, "reward": 1.0, "truncated": 1}, "outcome_invalid", "truncated"),
    ({"type": "close"}, "frame_type_invalid", "type"),
    ({"type": "reset", "seed": -1}, "seed_invalid", "seed"),
    ({"type": "reset", "version": 0}, "reset_invalid", "version"),
    ({"type": "reset", "follow": 1}, "reset_invalid", "follow"),
    ({"type": "reset", "follow": True, "version": 1}, "reset_invalid", "follow"),
    ({"type": "reset", "version": 9}, "policy_not_found", "policy_id"),
    ({"type": "reset", "reward": 1.0}, "outcome_invalid", "reward"),
]


@pytest.mark.parametrize("protocol", [JSON, PACKED])
def test_a_wrong_frame_is_told_and_the_stream_goes_on(server: Server, protocol: str) -> None:
    with server.loop("swing", protocol) as loop:
        for frame, code, param in WRONG:
            answer = loop.ask(**frame)
            told = answer["error"]
            assert (told["code"], told["param"]) == (code, param), (frame, answer)
            t = frame.get("t")
            assert answer["t"] == (t if type(t) is int and t >= 0 else None)
        assert told["status"] == 422
        assert loop.step(0)["t"] == 0
        gap = loop.step(5)["error"]
        assert (gap["status"], gap["code"], gap["expected_t"]) == (409, "sequence_gap", 1)
        assert loop.step(1)["t"] == 1


def test_a_frame_that_is_none_is_told_too(server: Server) -> None:
    with server.loop() as loop:
        for text, code in (
            ("", "malformed_body"),
            ("{", "malformed_body"),
            ("[]", "malformed_body"),
            ('{"t": 0, "observation": [NaN, 0, 0]}', "observation_not_finite"),
            ('{"t": 0, "observation": [1' + "0" * 400 + ", 0, 0]}", "number_too_large"),
        ):
            loop.socket.send(text)
            assert loop.receive()["error"]["code"] == code
        assert loop.step(0)["t"] == 0
    with server.loop("swing", PACKED) as loop:
        nan = np.array([np.nan, 0, 0], np.float32)
        for data, code in (
            (b"", "malformed_body"),
            (b"\xc1", "malformed_body"),
            (b"\x81\x01\x02", "malformed_body"),
            (msgspec.msgpack.encode([1]), "malformed_body"),
            (packed(nan.tobytes()), "observation_not_finite"),
            (packed(nan.tolist()), "observation_not_finite"),
            (packed(b"abc"), "binary_size_mismatch"),
        ):
            loop.socket.send(data)
            assert loop.receive()["error"]["code"] == code, data
        assert loop.step(0)["t"] == 0


def test_bytes_of_a_space_that_is_no_array(
    server: Server, database: Database, settings: Settings
) -> None:
    bundle = linear_bundle(observation_space={"type": "discrete", "n": 3, "start": 0})
    trained_job(database, settings, bundle, name="cells")
    with server.loop("cells", PACKED) as loop:
        assert loop.step(0, b"\x01")["error"]["code"] == "binary_unsupported"
        assert loop.step(0, 5)["error"]["code"] == "observation_out_of_range"
        assert loop.step(0, 1)["action"] == server.act("cells", observation=1)["action"]


def test_it_warns_of_what_was_not_seen_in_training(
    server: Server, database: Database, settings: Settings
) -> None:
    seen = {"low": [-1.0] * 3, "high": [1.0] * 3}
    trained_job(database, settings, linear_bundle(seen=seen), name="careful")
    with server.loop("careful") as loop:
        assert "warnings" not in loop.step(0)
        (warning,) = loop.step(1, [0.5, 3.0, 0.0])["warnings"]
        assert "1 is 3, seen -1 to 1" in warning


def test_a_late_action_is_not_sent_and_not_counted(server: Server) -> None:
    with server.loop() as loop:
        answer = loop.step(0, deadline_ms=1e-6)
        assert (answer["t"], answer["late"]) == (0, True)
        assert answer["error"]["code"] == "deadline_exceeded"
        assert "action" not in answer
        answer = loop.step(0, deadline_ms=60_000)
        assert answer.keys() == {"t", "action", "version", "timing"}


def test_draws_and_masks(server: Server, database: Database, settings: Settings) -> None:
    trained_job(database, settings, linear_bundle(DISCRETE), name="choice")
    with server.loop("choice") as loop:
        assert loop.step(0, action_mask=[0, 1])["action"] == 1
        assert loop.step(1, action_mask=[1, 0])["action"] == 0
    with server.loop() as loop:
        drawn = loop.step(0, mode="sample", seed=7)["action"]
        assert drawn == server.act("swing", observation=ROW, mode="sample", seed=7)["action"]
        loop.ask(type="reset", seed=20)
        for t in range(3):
            drawn = loop.step(t, mode="sample")["action"]
            asked = server.act("swing", observation=ROW, mode="sample", seed=20 + t)
            assert drawn == asked["action"]


def moved(app: FastAPI) -> None:
    """What another process has promoted is known here from now on."""
    line = next(iter(app.state.streams._open))
    coming = app.state.policies.moved("swing")
    asyncio.run_coroutine_threadsafe(coming, line._loop).result(10)


def test_the_version_is_that_of_the_episode(
    server: Server, app: FastAPI, database: Database, settings: Settings
) -> None:
    with server.loop() as loop:
        assert loop.step(0)["version"] == 1
        other = linear_bundle(weights=np.ones((3, 2), np.float32))
        trained_job(database, settings, other, name="swing")
        moved(app)
        assert loop.step(1)["version"] == 1
        assert loop.ask(type="reset")["version"] == 2
        answer = loop.step(0)
        assert (answer["version"], answer["action"]) == (
            2,
            server.act("swing:2", observation=ROW)["action"],
        )
        assert loop.ask(type="reset", version=1)["version"] == 1
        assert loop.step(0)["version"] == 1
        assert loop.ask(type="reset", follow=True)["version"] == 2
        for t in range(2):
            trained_job(database, settings, name="swing")
            moved(app)
            assert loop.step(t)["version"] == 3 + t
        # One that takes other observations, or acts in another space, is not followed.
        for t, bundle in enumerate((pixel_bundle(2, SHAPE), linear_bundle(DISCRETE)), 2):
            trained_job(database, settings, bundle, name="swing")
            moved(app)
            assert loop.step(t)["version"] == 4


def test_what_is_gone_is_no_more_than_one_version(
    server: Server, app: FastAPI, database: Database, settings: Settings
) -> None:
    with server.loop() as loop:
        loop.ask(type="reset", follow=True)
        (followed,) = app.state.streams._open.values()
        followed._gone = NotFound("policy", "swing:1")
        assert loop.step(0)["error"]["status"] == 404
        trained_job(database, settings, name="swing")
        moved(app)
        assert loop.step(0)["version"] == 2


def test_traffic_is_divided_by_episodes_though_the_name_is_followed(
    server: Server, database: Database, settings: Settings
) -> None:
    trained_job(database, settings, name="swing")

    def divide(revision: int | None, *versions: int) -> None:
        routes = [{"version": version, "weight": 1} for version in versions]
        body = {"routes": routes, "shadow": [], "expected_revision": revision}
        answer = server.http.put("/policies/swing/traffic", json=body)
        assert answer.status_code == 200, answer.text

    divide(None, 1, 2)
    with server.loop() as loop:
        drawn = loop.ask(type="reset", follow=True)["version"]
        assert {loop.step(t)["version"] for t in range(16)} == {drawn}
        divide(1, 3 - drawn)
        assert loop.step(16)["version"] == 3 - drawn


def test_a_deleted_policy_acts_no_more(server: Server) -> None:
    with server.loop() as loop:
        assert loop.step(0)["t"] == 0
        assert server.http.delete("/policies/swing:1").status_code == 204
        t, answer = 1, loop.step(1)
        until = time.monotonic() + 10
        while "error" not in answer:
            assert time.monotonic() < until, "it still acts"
            time.sleep(0.01)
            t, answer = t + 1, loop.step(t + 1)
        assert answer["error"]["code"] == "policy_not_found"
        assert loop.ask(type="reset")["error"]["code"] == "policy_not_found"


def test_many_at_once_get_their_own(server: Server, database: Database, settings: Settings) -> None:
    trained_job(database, settings, learned(CONTINUOUS, form=FORM).bundle, name="deep")
    with ExitStack() as stack:
        loops = [stack.enter_context(server.loop("deep")) for _ in range(6)]
        frames = [rows(10 + number) for number in range(6)]
        for t in range(5):
            for loop, own in zip(loops, frames, strict=True):
                loop.send(t=t, observation=own[t].tolist())
            for loop, own in zip(loops, frames, strict=True):
                *_, last = stacks(FORM, own[: t + 1])
                expected = server.act("deep", observation=last.tolist())["action"]
                assert loop.receive()["action"] == expected


def logged_rows(database: Database) -> list[LoggedAction]:
    with database.read() as session:
        return list(session.scalars(select(LoggedAction).order_by(LoggedAction.id)))


def test_actions_and_their_rewards_are_logged(server: Server, database: Database) -> None:
    with server.loop() as loop:
        episode = loop.metadata["episode"]
        first = loop.step(0, log=True)
        loop.step(1, log=True, reward=0.5)
        loop.step(2, reward=1.5)  # is not logged itself
        assert "feedback" not in loop.step(3, log=True, reward=2.5)
        again = loop.ask(type="reset", reward=-1, terminated=True)
        loop.step(0, log=True)
    found = logged_rows(database)
    assert found[0].id == first["action_id"]
    assert [(row.episode, row.t, row.reward, row.terminated) for row in found] == [
        (episode, 0, 0.5, None),
        (episode, 1, 1.5, None),
        (episode, 3, -1.0, True),
        (again["episode"], 0, None, None),
    ]
    assert again["episode"] != episode


def test_a_reward_that_does_not_join_is_told(server: Server) -> None:
    with server.loop() as loop:
        action = loop.step(0, log=True)["action_id"]
        feedback = {"action_id": action, "reward": 3.0}
        assert server.http.post("/policies/swing/feedback", json=feedback).status_code == 200
        assert loop.step(1, reward=4.0)["feedback"] == "conflict"
        loop.ask(type="reset")
        loop.step(0, log=True)
        server.http.delete("/policies/swing/feedback")
        assert loop.ask(type="reset", reward=1.0)["feedback"] == "unknown"


def test_an_action_that_cannot_be_logged_is_none(
    server: Server, app: FastAPI, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server.loop() as loop:
        app.state.action_log._max_actions = 1
        loop.step(0, log=True)
        assert loop.step(1, log=True, reward=1.0)["error"]["code"] == "log_full"
        app.state.action_log._max_actions = 9

        async def fail(*_: Any) -> None:
            raise RuntimeError("not for the client")

        monkeypatch.setattr(ActionLog, "write", fail)
        problem = loop.step(1, log=True, reward=1.0)["error"]
        assert (problem["status"], problem["code"]) == (500, "internal_error")
        assert "not for" not in problem["detail"]
        monkeypatch.undo()
        assert "action_id" in loop.step(1, log=True, reward=1.0)
    assert [(row.t, row.reward) for row in logged_rows(database)] == [(0, 1.0), (1, None)]
