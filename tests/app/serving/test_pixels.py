"""A policy of images, acting on what a client sends."""

from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from store.database import Database
from store.settings import Settings
from tests.app.bundles import pixel_bundle
from tests.app.driving import trained_job

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SHAPE = (3, 40, 36)


@pytest.fixture(autouse=True)
def _trained(database: Database, settings: Settings) -> None:
    trained_job(database, settings, pixel_bundle(2, SHAPE), name="seen")


def act(client: TestClient, observation: Any, reference: str = "seen") -> Any:
    return client.post(f"/policies/{reference}/act", json={"observation": observation})


def frame(value: int, first_row: int | None = None) -> Any:
    pixels = np.full(SHAPE, value)
    if first_row is not None:
        pixels[:, 0] = first_row
    return pixels.tolist()


def test_frames_go_in_oldest_first_and_planes_first(client: TestClient) -> None:
    # The first action for a bright first row of the newest frame, the second for a bright oldest.
    assert act(client, [frame(100), frame(0, first_row=255)]).json()["action"] == 0
    assert act(client, [frame(100), frame(255, first_row=0)]).json()["action"] == 1
    assert act(client, [frame(0, first_row=255), frame(0)]).json()["action"] == 1


def test_it_says_what_to_send(client: TestClient) -> None:
    policy = client.get("/policies/seen").json()
    assert policy["history"] == 2
    assert policy["observation_space"]["type"] == "tuple"
    assert [part["shape"] for part in policy["observation_space"]["spaces"]] == [[3, 40, 36]] * 2
    assert policy["send"] == (
        "The latest 2 observations, oldest first; at the start of an episode the first one "
        "repeated. Each: 3 x 40 x 36 whole numbers, as nested lists, channels first: planes of "
        "rows of numbers from 0 to 255."
    )


def test_a_single_frame(client: TestClient, database: Database, settings: Settings) -> None:
    trained_job(database, settings, pixel_bundle(1, SHAPE), name="still")
    assert act(client, frame(9, first_row=10), "still").json()["action"] == 0
    policy = client.get("/policies/still").json()
    assert (policy["history"], policy["observation_space"]["shape"]) == (1, [3, 40, 36])


@pytest.mark.parametrize(
    ("observation", "code"),
    [
        (frame(0), "observation_shape_mismatch"),  # one frame where it takes two
        ([frame(0)] * 3, "observation_shape_mismatch"),
        ([frame(0), np.zeros((40, 36, 3)).tolist()], "observation_shape_mismatch"),
        ([frame(0), frame(256)], "observation_out_of_range"),
        ([frame(0), frame(-1)], "observation_out_of_range"),
        ([frame(0), np.full(SHAPE, 0.5).tolist()], "observation_dtype"),
    ],
)
def test_what_is_no_image_of_it(client: TestClient, observation: Any, code: str) -> None:
    answer = act(client, observation)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


@pytest.mark.parametrize(("history", "shape"), [(4, (1, 84, 84)), (4, (3, 96, 96))])
def test_the_usual_sizes_fit_a_request_by_default(
    client: TestClient,
    database: Database,
    settings: Settings,
    history: int,
    shape: tuple[int, int, int],
) -> None:
    trained_job(database, settings, pixel_bundle(history, shape), name="large")
    frames = [np.full(shape, 255).tolist()] * history
    assert act(client, frames, "large").status_code == 200


def test_a_draw_of_a_pixel_policy(client: TestClient) -> None:
    body = {"observations": [[frame(1), frame(1)]] * 3, "mode": "sample", "seed": 4}
    answer = client.post("/policies/seen/act", json=body).json()
    assert len(set(answer["actions"])) == 1  # the same observation and seed
