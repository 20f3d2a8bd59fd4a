"""What the layout says without torch is what checkpoints really hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from safetensors import safe_open

from mrq_core import layout
from mrq_core.layout import Form, Forms
from mrq_core.session import Session
from tests.mrq_core.toys import TINY, tiny_run

KINDS = [
    "CartPole-v1",
    "Pendulum-v1",
    "Taxi-v4",
    "mrq_core.tasks:mrq/PixelPendulum-v0",
    "mrq_core.tasks:mrq/Catch-v0",
]


def forms_in(file: Path) -> Forms:
    with safe_open(file, "numpy") as tensors:
        slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118
        return {n: Form(s.get_dtype(), tuple(s.get_shape())) for n, s in slices.items()}


@pytest.mark.parametrize("two_hot", [True, False])
@pytest.mark.parametrize("environment", KINDS)
def test_the_tensors_of_a_checkpoint_are_these(
    tmp_path: Path, environment: str, two_hot: bool
) -> None:
    h = replace(
        TINY,
        buffer_size=100,
        warmup_steps=99,
        two_hot_reward=two_hot,
        zs_dim=9,
        zsa_dim=10,
        za_dim=5,
    )
    session = Session(tiny_run(environment, hyperparameters=h))
    for _ in range(90):
        session.advance()
    session.save(tmp_path)
    form, dim = session.environment.form, session.codec.action_dim
    masked, size = session.environment.masked, session.replay.size

    agent = dict(forms_in(tmp_path / layout.AGENT))
    assert agent.pop(layout.GENERATOR).dtype == "U8"
    networks = layout.network_forms(h, form.input_shape, dim)
    assert agent == {**networks, **layout.optimizer_forms(h, form.input_shape, dim)}

    length = layout.segment_length(layout.slot_bytes(form, dim, masked=masked), h.buffer_size)
    whole = layout.whole_segments(session.replay.head, size, length)
    assert len(whole) > 0
    for number in whole:
        found = forms_in(tmp_path / layout.segment_name(number))
        assert found == layout.slot_forms(form, dim, length, masked=masked)
    loose = dict(forms_in(tmp_path / layout.LOOSE))
    assert loose.pop("priority") == Form("F64", (size,))
    assert loose.pop("eligible") == Form("BOOL", (size,))
    rest = size - len(whole) * length
    assert loose == layout.slot_forms(form, dim, rest, masked=masked)
    names = {layout.STATE, layout.AGENT, layout.EPISODE, layout.LOOSE}
    names |= {layout.segment_name(number) for number in whole}
    assert {file.name for file in tmp_path.iterdir()} == names
