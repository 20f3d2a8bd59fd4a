"""What a job will need, computed before it is accepted."""

import math
from dataclasses import dataclass
from itertools import accumulate

from mrq_core.baselines import size
from mrq_core.baselines.settings import Baseline
from mrq_core.config import (
    CONVOLUTION_CHANNELS,
    CONVOLUTION_STRIDES,
    Hyperparameters,
    parameter_count,
    replay_bytes,
)
from store.baselines import STATES
from store.errors import EstimateTooLarge
from store.offline import logged_slots
from store.spec import JobSpec

# float32: online and target weights, gradients, two moments of AdamW.
BYTES_PER_PARAMETER = 4 * 5
# Each hidden layer keeps its product, its norm and its activation for the way back.
KEPT_PER_UNIT = 3
# Images as bytes: as drawn, as shifted, and half shifted.
IMAGE_COPIES = 3
# The convolutions' own copies, and gaps between blocks: 1.1 to 1.7 times the sum was measured.
CONVOLUTION_SLACK = 1.75
# While the replay doubles, the old half and the new whole are there at once.
REPLAY_GROWTH = 1.5


@dataclass(frozen=True, kw_only=True)
class Estimate:
    parameters: int
    model_bytes: int
    batch_bytes: int
    replay_bytes: int

    @property
    def memory_bytes(self) -> int:
        return self.model_bytes + self.batch_bytes + self.replay_bytes


def estimate(spec: JobSpec) -> Estimate:
    entry, form = spec.environment.entry, spec.environment.form
    if spec.algorithm.baseline is not None:
        return _of_baseline(spec, spec.algorithm.baseline)
    h = spec.algorithm.mrq
    parameters = parameter_count(h, form.input_shape, entry.action_dim)
    replay = replay_bytes(
        h, form.frame_bytes, entry.action_dim, _replayed_steps(spec), masked=entry.masked
    )
    return Estimate(
        parameters=parameters,
        model_bytes=parameters * BYTES_PER_PARAMETER,
        batch_bytes=_batch_bytes(h, form.input_shape),
        replay_bytes=round(REPLAY_GROWTH * replay),
    )


def _of_baseline(spec: JobSpec, baseline: Baseline) -> Estimate:
    entry, shape = spec.environment.entry, spec.environment.form.input_shape
    parameters = size.parameter_count(
        baseline,
        shape,
        entry.action_dim,
        discrete=entry.action_kind != "continuous",
        states=STATES.get(entry.id, 0),
    )
    total = spec.budget.total_steps
    batch, replay = size.memory_bytes(baseline, shape, entry.action_dim, total)
    return Estimate(
        parameters=parameters,
        model_bytes=parameters * BYTES_PER_PARAMETER,
        batch_bytes=batch,
        replay_bytes=replay,
    )


def _replayed_steps(spec: JobSpec) -> int:
    """A replay that comes from another job, or a log, is full from the first step. Twice as many
    slots are reckoned with."""
    if spec.algorithm.mode == "offline":
        return -(-logged_slots(spec) // 2)
    whole = spec.init_from is not None and spec.init_from.load == "all"
    filled = spec.algorithm.mrq.buffer_size if whole else 0
    return filled + spec.budget.total_steps


def _batch_bytes(h: Hyperparameters, input_shape: tuple[int, ...]) -> int:
    """Of the encoder's update, the largest: observations and activations of the whole unroll."""
    hidden = 5 * h.encoder_hidden_dim + 2 * h.zs_dim + h.zsa_dim + h.za_dim + h.reward_outputs
    inputs = h.batch_size * (h.horizon + 1)
    activations = 4 * inputs * KEPT_PER_UNIT * hidden
    if len(input_shape) == 1:
        return activations + 4 * inputs * input_shape[0]
    return activations + _image_bytes(h, input_shape)


def _image_bytes(h: Hyperparameters, input_shape: tuple[int, ...]) -> int:
    """Each image in bytes. Of those that only the targets see: as floats, with the product and the
    activation of the first layer, the largest. Of the others: the same of all layers, which wait
    for the way back, and the first layer's two gradients."""
    pixels = math.prod(input_shape)
    layers = _convolution_units(input_shape)
    seen_by_targets = 4 * (pixels + 2 * layers[0])
    learned_from = 4 * (pixels + 2 * sum(layers) + 2 * layers[0])
    copies = IMAGE_COPIES * (h.horizon + 1) * pixels
    images = copies + h.horizon * seen_by_targets + learned_from
    return round(CONVOLUTION_SLACK * h.batch_size * images)


def _convolution_units(input_shape: tuple[int, ...]) -> list[int]:
    """What each convolution gives, for one image."""

    def sides(side: int) -> list[int]:
        after = accumulate(
            CONVOLUTION_STRIDES, lambda n, stride: (n - 3) // stride + 1, initial=side
        )
        return list(after)[1:]

    _, height, width = input_shape
    pairs = zip(sides(height), sides(width), strict=True)
    return [CONVOLUTION_CHANNELS * rows * columns for rows, columns in pairs]


def refuse_if_too_large(spec: JobSpec, limit_bytes: int) -> Estimate:
    needed = estimate(spec)
    if needed.memory_bytes > limit_bytes:
        param = (
            "algorithm.hyperparameters.buffer_size"
            if needed.replay_bytes > needed.model_bytes + needed.batch_bytes
            else "algorithm.hyperparameters"
        )
        raise EstimateTooLarge(
            f"This job needs about {_gib(needed.memory_bytes)}: {_gib(needed.replay_bytes)} of "
            f"replay buffer, {_gib(needed.model_bytes)} of networks with their optimisers and "
            f"{_gib(needed.batch_bytes)} for one batch. Allowed: {_gib(limit_bytes)} "
            "(MRQ_JOB_MEMORY_BYTES). Make buffer_size, total_steps, batch_size or the networks "
            "smaller.",
            param=param,
            needed_bytes=needed.memory_bytes,
            allowed_bytes=limit_bytes,
        )
    return needed


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"
