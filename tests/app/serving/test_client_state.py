"""`state`: the client holds the frames between its requests."""

import base64
import hashlib
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from mrq_core.observations import ObservationForm
from store.database import Database
from store.settings import Settings
from tests.app.bundles import CONTINUOUS, pixel_bundle
from tests.app.driving import trained_job
from tests.app.learned import learned, rows
from tests.app.serving.test_sessions import act, stacks

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

FORM = ObservationForm("vector", (3,), 4)
FRAME = [0.5, -1.0, 0.25]


@pytest.fixture(autouse=True)
def _trained(database: Database, settings: Settings) -> None:
    trained_job(database, settings, learned(CONTINUOUS, form=FORM).bundle, name="deep")


def test_it_acts_as_on_frames_stacked_by_hand(client: TestClient) -> None:
    for seed in (5, 6):
        frames, state = rows(seed), None
        for frame, stack in zip(frames, stacks(FORM, frames), strict=True):
            answer = act(client, "deep", observation=frame.tolist(), state=state)
            assert answer["action"] == act(client, "deep", observation=stack.tolist())["action"]
            state = answer["state"]


def test_a_state_is_a_moment_and_may_be_used_again(client: TestClient) -> None:
    first = act(client, "deep", observation=FRAME, state=None)["state"]
    again = [act(client, "deep", observation=[0, 1, 2], state=first) for _ in range(2)]
    assert again[0]["action"] == again[1]["action"]
    assert again[0]["state"] == again[1]["state"] != first


def test_pixels_are_held_as_bytes(
    client: TestClient, database: Database, settings: Settings
) -> None:
    shape = (1, 84, 84)
    trained_job(database, settings, pixel_bundle(4, shape), name="seen")
    frames = np.random.default_rng(0).integers(0, 256, (3, *shape)).astype(np.uint8)
    state = None
    for frame, stack in zip(
        frames, stacks(ObservationForm("pixels", shape, 4), frames), strict=True
    ):
        answer = act(client, "seen", observation=frame.tolist(), state=state)
        assert answer["action"] == act(client, "seen", observation=stack.tolist())["action"]
        state = answer["state"]
        assert len(base64.b64decode(state)) == 4 * 84 * 84 + 28


def test_a_plain_policy_has_nothing_to_hold(
    client: TestClient, database: Database, settings: Settings
) -> None:
    trained_job(database, settings, name="swing")
    plain = act(client, "swing", observation=FRAME)
    assert "state" not in plain
    state = act(client, "swing", observation=FRAME, state=None)["state"]
    answer = act(client, "swing", observation=FRAME, state=state)
    assert (answer["action"], answer["state"]) == (plain["action"], state)
    problem = act(client, "deep", observation=FRAME, state=state)
    assert (problem["code"], "other observations" in problem["detail"]) == ("state_invalid", True)


def resealed(content: bytes) -> str:
    """With a right checksum."""
    return base64.b64encode(content + hashlib.blake2b(content, digest_size=8).digest()).decode()


def test_what_is_no_state_of_it_is_refused(client: TestClient) -> None:
    state = act(client, "deep", observation=FRAME, state=None)["state"]
    packed = base64.b64decode(state)
    content = packed[:-8]
    not_finite = content[:-4] + np.float32(np.nan).tobytes()
    wrong: list[Any] = [
        *(7, True, [], {}, "", "x", "é", state[:-4], state[4:], f"{state}AAAA", f" {state}"),
        base64.b64encode(packed[:-9] + b"\0" + packed[-8:]).decode(),
        *(resealed(b"MRQ\x02" + content[4:]), resealed(content[:-4]), resealed(not_finite)),
        *(resealed(content[:-1]), resealed(content + b"\0")),
        *(resealed(b""), resealed(content[:4] + bytes(16) + content[20:])),
    ]
    assert resealed(content) == state
    for each in wrong:
        problem = act(client, "deep", observation=FRAME, state=each)
        told = problem["status"], problem["code"], problem["param"]
        assert told == (422, "state_invalid", "state"), (each, problem)


def test_what_goes_with_no_state(client: TestClient) -> None:
    body = {"observation": FRAME, "state": None}
    headers = {"Accept": "application/x-npy"}
    problem = client.post("/policies/deep/act", json=body, headers=headers).json()
    assert (problem["status"], problem["code"]) == (422, "state_needs_json")
    assert act(client, "deep", observations=[FRAME], state=None)["code"] == "history_with_batch"
    assert act(client, "deep", **body, reset=True)["code"] == "reset_invalid"
    assert act(client, "deep", **body, t=0)["code"] == "log_invalid"
    assert "action_id" in act(client, "deep", **body, log=True, episode="e", t=0)
    assert act(client, "deep", **body, deadline_ms=1e-6)["code"] == "deadline_exceeded"
