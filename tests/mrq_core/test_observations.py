"""What becomes an image and what a vector, and how frames make up an input."""

import math
from typing import Any

import numpy as np
import pytest

from mrq_core.config import SMALLEST_SIDE
from mrq_core.observations import (
    FrameHistory,
    ObservationForm,
    observation_form,
    to_frame,
    wire_space,
)
from mrq_core.spaces import Box, Dict, Discrete, Space, SpaceError, Tuple, flatten


def image(*shape: int, low: int = 0, high: int = 255, dtype: str = "uint8") -> Box:
    size = math.prod(shape)
    return Box((low,) * size, (high,) * size, shape, dtype)


@pytest.mark.parametrize(
    ("space", "frame_shape"),
    [
        (image(84, 84), (1, 84, 84)),
        (image(31, 40), (1, 31, 40)),
        (image(210, 160, 3), (3, 210, 160)),
        (image(3, 64, 96), (3, 64, 96)),
        (image(4, 84, 84), (4, 84, 84)),
        (image(96, 96, 1), (1, 96, 96)),
        # As many planes as rows: the last axis it is.
        (image(40, 50, 40), (40, 40, 50)),
    ],
)
def test_images_are_pixels_with_the_planes_first(space: Box, frame_shape: tuple[int, ...]) -> None:
    form = observation_form(space)

    assert form == ObservationForm("pixels", frame_shape, 4)
    assert form.dtype is np.uint8
    assert form.input_shape == (4 * frame_shape[0], *frame_shape[1:])
    assert form.frame_bytes == math.prod(frame_shape)


@pytest.mark.parametrize(
    "space",
    [
        image(SMALLEST_SIDE - 1, 84),
        image(84, 84, low=1),
        image(84, 84, high=254),
        image(84, 84, dtype="int32"),
        image(84, 84, dtype="float32"),
        image(10, 10, 4, high=1, dtype="bool"),
        image(2, 12, 12),
        image(84),
        image(1, 40, 40, 3),
        Dict((("image", image(40, 40)),)),
        Discrete(7),
    ],
)
def test_everything_else_is_a_vector(space: Space) -> None:
    form = observation_form(space)

    assert form == ObservationForm("vector", (space.flat_size,), 1)
    assert form.dtype is np.float32
    assert (form.input_shape, form.input_size) == ((space.flat_size,), space.flat_size)
    assert form.frame_bytes == 4 * space.flat_size


def test_one_number_of_many_that_differs_makes_a_vector_of_an_image() -> None:
    plain = image(40, 40)
    assert observation_form(plain).kind == "pixels"
    dented = Box(plain.low, (*plain.high[:-1], 200), plain.shape, "uint8")
    assert observation_form(dented).kind == "vector"


def test_a_history_can_be_asked_for() -> None:
    assert observation_form(image(40, 40, 3), 2).input_shape == (6, 40, 40)
    assert observation_form(Discrete(3), 5).input_shape == (15,)
    assert observation_form(Discrete(3), 5).input_size == 15
    with pytest.raises(ValueError, match="history is 0; it must be at least 1"):
        observation_form(Discrete(3), 0)


def test_a_space_without_numbers_is_refused() -> None:
    with pytest.raises(SpaceError, match="that holds a number"):
        observation_form(Tuple(()))


def frame_of(space: Space, value: object) -> Any:
    return to_frame(space, observation_form(space), value)


def test_planes_go_first() -> None:
    last = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)

    frame = frame_of(image(40, 50, 3), last)

    assert frame.dtype == np.uint8
    assert frame.flags.c_contiguous
    assert np.array_equal(frame, np.stack([last[..., plane] for plane in range(3)]))
    first = np.ascontiguousarray(frame)
    assert np.array_equal(frame_of(image(3, 40, 50), first), first)
    assert np.array_equal(frame_of(image(40, 50), last[..., 0]), last[None, ..., 0])


@pytest.mark.parametrize("space", [image(40, 40), image(40, 40, 3), image(3, 40, 40)])
def test_a_frame_is_never_the_environments_array(space: Box) -> None:
    given = np.zeros(space.shape, np.uint8)
    frame = frame_of(space, given)
    given[:] = 1

    assert not frame.any()
    vector = np.zeros(2, np.float32)
    flat = frame_of(Box((-1.0,) * 2, (1.0,) * 2, (2,)), vector)
    vector[:] = 1
    assert not flat.any()


def test_pixels_of_another_type_are_taken_if_they_are_bytes() -> None:
    space = image(31, 31)
    value = np.zeros((31, 31), np.int64)
    value[3, 4] = 255

    assert np.argwhere(frame_of(space, value)).tolist() == [[0, 3, 4]]
    assert np.array_equal(frame_of(space, value.tolist()), value[None])
    assert frame_of(space, value.astype(np.float64)).max() == 255


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (np.zeros((31, 30), np.uint8), "shape", "frame: expected numbers of shape (31, 31), got"),
        (np.zeros((1, 31, 31), np.uint8), "shape", "got an array of shape (1, 31, 31)"),
        (np.full((31, 31), 0.5), "dtype", "frame: expected whole numbers from 0 to 255, got 0.5"),
        (np.full((31, 31), 256), "range", "expected whole numbers from 0 to 255, got 256"),
        (np.full((31, 31), np.nan), "not_finite", "got nan at [0, 0]"),
        ("picture", "dtype", "got 'picture' (str)"),
    ],
)
def test_what_is_no_image_is_told(value: object, kind: str, message: str) -> None:
    space = image(31, 31)
    with pytest.raises(SpaceError) as caught:
        to_frame(space, observation_form(space), value, "frame")
    assert message in str(caught.value)
    assert caught.value.kind == kind


def test_a_client_sends_images_as_the_network_sees_them() -> None:
    space = image(40, 50, 3)
    single = observation_form(space, 1)
    assert wire_space(space, single) == image(3, 40, 50)
    stacked = observation_form(space, 2)
    assert wire_space(space, stacked) == Tuple((image(3, 40, 50),) * 2)


@pytest.mark.parametrize("history", [1, 3])
@pytest.mark.parametrize(
    "space", [image(31, 33, 2), Dict((("b", Discrete(2)), ("a", Box((0.0,), (9.0,), (1,)))))]
)
def test_the_flattened_wire_is_the_input_of_the_network(space: Space, history: int) -> None:
    """Three steps into an episode, from the frames and from what a client would send."""
    rng = np.random.default_rng(0)
    form = observation_form(space, history)
    frames = FrameHistory(form)
    sent = []
    for step in range(4):
        if isinstance(space, Box):
            seen: Any = rng.integers(0, 256, space.shape).astype(np.uint8)
            sent.append(np.moveaxis(seen, -1, 0).tolist())
        else:
            seen = {"a": [float(step)], "b": step % 2}
            sent.append(seen)
        frame = to_frame(space, form, seen)
        (frames.append if step else frames.begin)(frame)

    value = sent[-1] if history == 1 else sent[-history:]
    flat = flatten(wire_space(space, form), value)
    assert flat.shape == (form.input_size,)
    assert flat.tolist() == frames.input().ravel().astype(np.float32).tolist()


def test_the_first_frame_is_repeated_and_the_oldest_falls_out() -> None:
    form = ObservationForm("vector", (2,), 3)
    history = FrameHistory(form)
    history.begin(np.array([1, 2], np.float32))
    inputs = [history.input()]
    for number in (3, 4, 5):
        history.append(np.full(2, number, np.float32))
        inputs.append(history.input())
    history.begin(np.zeros(2, np.float32))
    inputs.append(history.input())

    # Those handed out before have not changed.
    assert [each.tolist() for each in inputs] == [
        [1, 2, 1, 2, 1, 2],
        [1, 2, 1, 2, 3, 3],
        [1, 2, 3, 3, 4, 4],
        [3, 3, 4, 4, 5, 5],
        [0, 0, 0, 0, 0, 0],
    ]


def test_images_are_stacked_plane_after_plane() -> None:
    form = ObservationForm("pixels", (2, 31, 31), 2)
    history = FrameHistory(form)
    older, newer = (np.full((2, 31, 31), value, np.uint8) for value in (7, 9))
    older[1], newer[1] = 8, 10
    history.begin(older)
    history.append(newer)

    assert history.input().shape == form.input_shape
    assert history.input().dtype == np.uint8
    assert history.input()[:, 0, 0].tolist() == [7, 8, 9, 10]
    assert history.frames.shape == (2, 2, 31, 31)


def test_a_history_can_be_continued_elsewhere() -> None:
    form = ObservationForm("vector", (1,), 2)
    one, other = FrameHistory(form), FrameHistory(form)
    one.begin(np.array([1], np.float32))
    one.append(np.array([2], np.float32))
    other.frames = one.frames.copy()
    other.append(np.array([3], np.float32))

    assert other.input().tolist() == [2, 3]
    assert one.input().tolist() == [1, 2]


def test_a_history_does_not_hold_the_array_it_was_given() -> None:
    form = ObservationForm("vector", (1,), 1)
    history = FrameHistory(form)
    first, second = np.zeros(1, np.float32), np.ones(1, np.float32)
    history.begin(first)
    first[:] = 5
    assert history.input().tolist() == [0]
    history.append(second)
    second[:] = 5
    assert history.input().tolist() == [1]
