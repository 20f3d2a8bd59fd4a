"""The replay on disk: all comes back, what is new is written, and nothing is written twice."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from mrq_core import segments
from mrq_core.observations import ObservationForm
from mrq_core.replay import COLUMNS, Replay
from mrq_core.segments import load_replay, save_replay, segment_slots
from tests.mrq_core.replays import CHOICES, CPU, Life, add_episode, eligible, make_replay

FORMS = [
    ObservationForm("vector", (6,), 1),
    ObservationForm("vector", (6,), 3),
    ObservationForm("pixels", (1, 2, 3), 4),
]


def saved(replay: Replay, folder: Path, previous: Path | None = None) -> dict[str, Any]:
    folder.mkdir()
    return save_replay(replay, folder, previous)


def loaded(like: Replay, state: dict[str, Any], folder: Path) -> Replay:
    replay = Replay(
        like.h,
        like.form,
        like.action.shape[1],
        np.random.default_rng(0),
        CPU,
        masked=like.masked,
    )
    load_replay(replay, state, folder)
    return replay


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def assert_equal(one: Replay, other: Replay) -> None:
    for name in (*COLUMNS, "priority"):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name
    assert one.tree.leaves.tobytes() == other.tree.leaves.tobytes()
    assert one.counters() == other.counters()
    assert (one.size, one.cursor, one.slots) == (other.size, other.cursor, other.slots)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("masked", [False, True])
def test_all_comes_back_at_any_point_of_the_ring(
    form: ObservationForm, masked: bool, tmp_path: Path
) -> None:
    """Also into the same future. 110 slots in segments of 27: the ring ends within a segment."""
    replay = make_replay(form, CHOICES, masked=masked, buffer_size=110, batch_size=8)
    life = Life(replay, seed=3)
    previous = None
    for number, steps in enumerate([0, 1, 26, 1, 40, 30, 9, 27, 55, 1, 108, 300]):
        for _ in range(steps):
            life.step()
        if replay.has_eligible:
            slots, _ = replay.sample_value()
            replay.update_priorities(slots, life.rng.uniform(1, 3, 8).astype(np.float32))
        folder = tmp_path / str(number)
        state = saved(replay, folder, previous)
        previous = folder

        again = loaded(replay, state, folder)
        assert_equal(replay, again)
        # What is made of equal replays is equal, whether links were there to be used or not.
        assert saved(again, tmp_path / f"{number} again") == state
        assert contents(folder) == contents(tmp_path / f"{number} again")

    again.rng.bit_generator.state = replay.rng.bit_generator.state
    here = life.here
    for one in (replay, again):
        life.replay, life.here, life.rng = one, here, np.random.default_rng(0)
        for _ in range(60):
            life.step()
    assert_equal(replay, again)
    assert torch.equal(replay.sample_encoder().next_state, again.sample_encoder().next_state)


def test_which_segments_there_are() -> None:
    """100 slots in segments of 25."""
    replay = make_replay()
    assert segment_slots(replay) == 25
    add_episode(replay, 0, 24)
    whole = []
    for _ in range(5):
        whole.append(list(segments._whole_segments(replay, 25)))
        add_episode(replay, 0, 25)
    add_episode(replay, 0, 1)
    whole.append(list(segments._whole_segments(replay, 25)))

    # The heads are 24, 49, 74, 99, 124 and 150: of 124, positions 24 to 123 are stored.
    assert whole == [[], [0], [0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4, 5]]


def test_only_what_is_new_is_written(tmp_path: Path) -> None:
    """Counted in inodes: a link has that of the file it was made of."""
    replay = make_replay()
    add_episode(replay, 0, 80)
    saved(replay, tmp_path / "a")
    assert names(tmp_path / "a") == [
        "replay-0.safetensors",
        "replay-1.safetensors",
        "replay-2.safetensors",
        "replay.safetensors",
    ]

    add_episode(replay, 0, 30)
    saved(replay, tmp_path / "b", tmp_path / "a")

    assert names(tmp_path / "b") == [
        "replay-1.safetensors",
        "replay-2.safetensors",
        "replay-3.safetensors",
        "replay.safetensors",
    ]
    new = inodes(tmp_path / "b") - inodes(tmp_path / "a")
    assert new == {path.stat().st_ino for path in sorted((tmp_path / "b").iterdir())[2:]}
    assert load_file(tmp_path / "a" / "replay-2.safetensors")["reward"].tolist() == [*range(50, 75)]
    # Positions 10 to 24 and 100 to 109.
    loose = load_file(tmp_path / "b" / "replay.safetensors")
    assert loose["reward"].tolist() == [*range(10, 25), *range(20, 30)]


def inodes(folder: Path) -> set[int]:
    return {path.stat().st_ino for path in folder.iterdir()}


def test_the_bytes_written_do_not_grow_with_the_replay(tmp_path: Path) -> None:
    form = ObservationForm("pixels", (1, 32, 32), 4)
    replay = make_replay(form, buffer_size=1_000)
    previous = None
    written = []
    for number in range(12):
        add_episode(replay, 0, 120)
        folder = tmp_path / str(number)
        saved(replay, folder, previous)
        old = set() if previous is None else inodes(previous)
        fresh = [path for path in folder.iterdir() if path.stat().st_ino not in old]
        written.append(sum(path.stat().st_size for path in fresh))
        previous = folder

    # Frames of 1 KiB. New at each are 120 frames, and at most two segments of 250 are loose.
    assert max(written) < (120 + 2 * 250 + 50) * 1024
    whole = sum(path.stat().st_size for path in folder.iterdir())
    assert whole > 1_000 * 1024


def test_a_resumed_run_links_what_it_resumed_from(tmp_path: Path) -> None:
    replay = make_replay()
    add_episode(replay, 0, 80)
    state = saved(replay, tmp_path / "a")
    again = loaded(replay, state, tmp_path / "a")
    add_episode(again, 0, 5)
    saved(again, tmp_path / "b", tmp_path / "a")

    assert len(inodes(tmp_path / "a") & inodes(tmp_path / "b")) == 3


def test_an_earlier_folder_may_go(tmp_path: Path) -> None:
    replay = make_replay()
    add_episode(replay, 0, 80)
    saved(replay, tmp_path / "a")
    state = saved(replay, tmp_path / "b", tmp_path / "a")
    for path in (tmp_path / "a").iterdir():
        path.unlink()

    assert_equal(replay, loaded(replay, state, tmp_path / "b"))
    saved(replay, tmp_path / "c", tmp_path / "a")  # nothing to link: written
    assert contents(tmp_path / "c") == contents(tmp_path / "b")


def test_where_links_cannot_be_made_files_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    replay = make_replay()
    add_episode(replay, 0, 80)
    saved(replay, tmp_path / "a")
    monkeypatch.setattr(os, "link", refuse)
    state = saved(replay, tmp_path / "b", tmp_path / "a")

    assert not inodes(tmp_path / "a") & inodes(tmp_path / "b")
    assert_equal(replay, loaded(replay, state, tmp_path / "b"))


@pytest.mark.parametrize(
    ("form", "buffer_size", "expected"),
    [
        (ObservationForm("pixels", (1, 84, 84), 4), 1_000_000, 3_907),  # 256 files of 28 MB
        # Beside the 17 numbers 4 bytes each for action and reward, and three of flags and age.
        (ObservationForm("vector", (17,), 1), 1_000_000, (4 << 20) // (17 * 4 + 11)),
        (ObservationForm("vector", (4,), 1), 200_000, 50_000),  # a small ring: four
    ],
)
def test_the_length_of_a_segment(form: ObservationForm, buffer_size: int, expected: int) -> None:
    assert segment_slots(make_replay(form, buffer_size=buffer_size)) == expected


@pytest.mark.parametrize("name", ["replay-1", "replay"])
def test_arrays_of_another_form_are_refused(name: str, tmp_path: Path) -> None:
    replay = make_replay(FORMS[2], CHOICES, masked=True)
    life = Life(replay, seed=0)
    for _ in range(80):
        life.step()
    state = saved(replay, tmp_path / "a")
    file = tmp_path / "a" / f"{name}.safetensors"
    arrays = load_file(file)
    assert arrays.keys() >= set(COLUMNS)
    for column, array in arrays.items():
        for wrong in (array[:1], array[..., None], array.astype(np.float16)):
            save_file(arrays | {column: np.ascontiguousarray(wrong)}, file)
            with pytest.raises(ValueError, match=f"{column} is .*, expected "):
                loaded(replay, state, tmp_path / "a")


def test_another_segment_length_is_refused(tmp_path: Path) -> None:
    replay = make_replay()
    add_episode(replay, 0, 80)
    state = saved(replay, tmp_path / "a")
    with pytest.raises(ValueError, match="segment_slots is 24, expected 25"):
        loaded(replay, state | {"segment_slots": 24}, tmp_path / "a")


def test_a_missing_segment_is_no_empty_one(tmp_path: Path) -> None:
    replay = make_replay()
    add_episode(replay, 0, 80)
    state = saved(replay, tmp_path / "a")
    (tmp_path / "a" / "replay-1.safetensors").unlink()
    with pytest.raises(OSError, match=r"replay-1\.safetensors"):
        loaded(replay, state, tmp_path / "a")


def test_b10_an_episode_under_way_goes_on_where_it_was(tmp_path: Path) -> None:
    """The published code forgets how long it was: the next frames would belong to nothing, and
    their stacks would reach into what lies before them."""
    form = ObservationForm("pixels", (1, 1, 1), 3)
    replay = make_replay(form)
    add_episode(replay, 50, 20, terminated=True)
    add_episode(replay, 0, 4)
    state = saved(replay, tmp_path / "a")

    again = loaded(replay, state, tmp_path / "a")
    assert again.episode_length == 4
    add_episode(again, 4, 5)

    assert eligible(again) == [*range(20), 21, 22, 23, 24]
    again.tree.fill(np.eye(100)[24])
    batch = again.sample_encoder()
    assert batch.state[0].flatten().tolist() == [1, 2, 3]
    assert batch.next_state[0, :, 2, 0, 0].tolist() == [4, 5, 6, 7, 8]
    assert batch.next_state[0, 0].flatten().tolist() == [2, 3, 4]
