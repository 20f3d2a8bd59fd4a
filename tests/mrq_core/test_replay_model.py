"""Every window that is drawn, against a plain list of episodes, over many rounds of the ring."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mrq_core.config import replay_bytes
from mrq_core.observations import ObservationForm
from tests.mrq_core.replays import CHOICES, Life, eligible, make_replay

FORMS = {
    "vector": ObservationForm("vector", (6,), 1),
    "vectors with a history": ObservationForm("vector", (6,), 3),
    "pixels": ObservationForm("pixels", (1, 2, 3), 4),
    "pixels with colours": ObservationForm("pixels", (3, 2, 2), 2),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize(
    ("masked", "changes"),
    [
        (False, {}),
        (True, {"buffer_size": 133}),
        (False, {"enc_horizon": 1, "q_horizon": 1}),
        (False, {"enc_horizon": 2, "q_horizon": 7, "prioritized": False}),
    ],
)
def test_all_windows_are_those_of_the_episodes(
    form: ObservationForm, masked: bool, changes: dict[str, int | bool]
) -> None:
    changes = {"batch_size": 16} | changes
    replay = make_replay(form, CHOICES, masked=masked, **changes)
    life = Life(replay, seed=1)
    for step in range(700):  # five rounds at least
        life.step()
        if step % 5 == 0:
            assert eligible(replay) == sorted(life.eligible())
            assert replay.has_eligible == bool(life.eligible())
            if replay.has_eligible:
                life.check_encoder()
                life.check_value()
    assert life.stories[-1].start > 5 * replay.h.buffer_size


@given(
    seed=st.integers(0, 2**32 - 1),
    form=st.sampled_from(list(FORMS.values())),
    masked=st.booleans(),
    steps=st.integers(1, 600),
    buffer_size=st.sampled_from([100, 1_100, 100_000]),
)
@settings(max_examples=15, deadline=None)
def test_a_replay_never_holds_more_than_was_estimated(
    seed: int, form: ObservationForm, masked: bool, steps: int, buffer_size: int
) -> None:
    replay = make_replay(form, CHOICES, masked=masked, buffer_size=buffer_size)
    life = Life(replay, seed)
    for _ in range(steps):
        life.step()

    most = replay_bytes(replay.h, form.frame_bytes, CHOICES, steps, masked=masked)
    assert replay.nbytes <= most
    # And is not estimated at more than what the shortest episodes would take.
    frame, action = life.stories[0].frames[0], life.stories[0].actions[0]
    shortest = make_replay(form, CHOICES, masked=masked, buffer_size=buffer_size)
    for _ in range(steps):
        shortest.add(frame, action, 0.0, frame, terminated=True, truncated=False)
    assert shortest.nbytes == most
