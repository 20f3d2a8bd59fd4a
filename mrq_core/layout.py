"""What a training checkpoint consists of: its files, and the tensors in each.

Without torch, so that also who only passes checkpoints on can tell whether one is whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from mrq_core.config import (
    CONVOLUTION_CHANNELS,
    CONVOLUTION_STRIDES,
    Hyperparameters,
    convolved,
)
from mrq_core.observations import ObservationForm

CHECKPOINT_FORMAT_VERSION = 2

STATE = "state.json"
AGENT = "agent.safetensors"
EPISODE = "episode.safetensors"
LOOSE = "replay.safetensors"  # what is in no whole segment, and the priorities
GENERATOR = "generator"  # in AGENT: bytes, whose number depends on the kind of device

# A segment is of this size at least, so that there are not too many files; and as much is written
# in vain by a checkpoint, on average.
SEGMENT_BYTES = 4 << 20
MOST_SEGMENTS = 256
# So that also a small ring has segments that are whole.
LEAST_SEGMENTS = 4

HEADS = 2  # value functions


class Form(NamedTuple):
    """Of a tensor, in the words of safetensors."""

    dtype: str
    shape: tuple[int, ...]


Forms = Mapping[str, Form]
_Layers = Iterator[tuple[str, tuple[int, ...]]]


def segment_name(number: int) -> str:
    return f"replay-{number}.safetensors"


def segment_length(slot_bytes: int, buffer_size: int) -> int:
    """In slots."""
    wanted = max(SEGMENT_BYTES // slot_bytes, -(-buffer_size // MOST_SEGMENTS))
    return min(wanted, buffer_size // LEAST_SEGMENTS)


def whole_segments(head: int, size: int, length: int) -> range:
    return range(-(-(head - size) // length), head // length)


def slot_forms(
    form: ObservationForm, action_dim: int, rows: int, *, masked: bool
) -> dict[str, Form]:
    """Of `rows` slots of the replay, by column."""
    frame = "U8" if form.kind == "pixels" else "F32"
    return {
        "frame": Form(frame, (rows, *form.frame_shape)),
        "action": Form("F32", (rows, action_dim)),
        "reward": Form("F32", (rows,)),
        "terminated": Form("BOOL", (rows,)),
        "transition": Form("BOOL", (rows,)),
        "age": Form("U8", (rows,)),
        "mask": Form("BOOL", (rows, action_dim if masked else 0)),
    }


def slot_bytes(form: ObservationForm, action_dim: int, *, masked: bool) -> int:
    sizes = {"F32": 4, "U8": 1, "BOOL": 1}
    forms = slot_forms(form, action_dim, 1, masked=masked).values()
    return sum(sizes[each.dtype] * int(np.prod(each.shape)) for each in forms)


def network_forms(h: Hyperparameters, input_shape: tuple[int, ...], action_dim: int) -> Forms:
    """Of the networks and their targets."""
    return {
        f"{network}{copy}/{name}": Form("F32", shape)
        for network, layers in _networks(h, input_shape, action_dim).items()
        for copy in ("", "_target")
        for name, shape in layers
    }


def optimizer_forms(h: Hyperparameters, input_shape: tuple[int, ...], action_dim: int) -> Forms:
    forms: dict[str, Form] = {}
    for network, layers in _networks(h, input_shape, action_dim).items():
        for index, (_, shape) in enumerate(layers):
            place = f"optimizer/{network}/{index}"
            forms[f"{place}/step"] = Form("F32", ())
            forms[f"{place}/exp_avg"] = forms[f"{place}/exp_avg_sq"] = Form("F32", shape)
    return forms


def _networks(
    h: Hyperparameters, input_shape: tuple[int, ...], action_dim: int
) -> dict[str, list[tuple[str, tuple[int, ...]]]]:
    """In the order in which they register their parameters; a test holds them to the networks."""
    return {
        "encoder": [*_encoder(h, input_shape, action_dim)],
        "value": [*_value(h)],
        "policy": [*_policy(h, action_dim)],
    }


def _linear(name: str, n: int, m: int) -> _Layers:
    yield f"{name}.weight", (m, n)
    yield f"{name}.bias", (m,)


def _convolution(name: str, n: int, m: int) -> _Layers:
    yield f"{name}.weight", (m, n, 3, 3)
    yield f"{name}.bias", (m,)


def _heads(name: str, n: int, m: int) -> _Layers:
    yield f"{name}.weight", (HEADS, n, m)
    yield f"{name}.bias", (HEADS, 1, m)


def _encoder(h: Hyperparameters, input_shape: tuple[int, ...], action_dim: int) -> _Layers:
    hidden = h.encoder_hidden_dim
    yield from _state_encoder(h, input_shape)
    yield from _linear("za", action_dim, h.za_dim)
    yield from _linear("zsa1", h.zs_dim + h.za_dim, hidden)
    yield from _linear("zsa2", hidden, hidden)
    yield from _linear("zsa3", hidden, h.zsa_dim)
    yield from _linear("next_zs", h.zsa_dim, h.zs_dim)
    yield from _linear("outcome", h.zsa_dim, 1 + h.reward_outputs)


def _state_encoder(h: Hyperparameters, input_shape: tuple[int, ...]) -> _Layers:
    if len(input_shape) == 1:
        widths = (*input_shape, h.encoder_hidden_dim, h.encoder_hidden_dim, h.zs_dim)
        for index in range(3):
            yield from _linear(f"state.layers.{index}", widths[index], widths[index + 1])
        return
    channels, height, width = input_shape
    filters = CONVOLUTION_CHANNELS
    for index in range(len(CONVOLUTION_STRIDES)):
        inputs = filters if index else channels
        yield from _convolution(f"state.convolutions.{index}", inputs, filters)
    flat = filters * convolved(height) * convolved(width)
    yield from _linear("state.projection", flat, h.zs_dim)


def _value(h: Hyperparameters) -> _Layers:
    hidden = h.value_hidden_dim
    for index, inputs in enumerate((h.zsa_dim, hidden, hidden)):
        yield from _heads(f"layers.{index}", inputs, hidden)
    yield from _heads("output", hidden, 1)


def _policy(h: Hyperparameters, action_dim: int) -> _Layers:
    hidden = h.policy_hidden_dim
    for index, inputs in enumerate((h.zs_dim, hidden)):
        yield from _linear(f"layers.{index}", inputs, hidden)
    yield from _linear("output", hidden, action_dim)
