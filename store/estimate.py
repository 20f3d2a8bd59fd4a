"""What a job will need, computed before it is accepted."""

from dataclasses import dataclass

from mrq_core.config import Hyperparameters, parameter_count, replay_bytes
from store.errors import EstimateTooLarge
from store.spec import JobSpec

# float32: online and target weights, gradients, two moments of AdamW.
BYTES_PER_PARAMETER = 4 * 5
# Each hidden layer keeps its product, its norm and its activation for the way back.
KEPT_PER_UNIT = 3
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
    entry = spec.environment.entry
    sizes = entry.observation_dim, entry.action_dim
    hyperparameters = spec.algorithm.hyperparameters
    parameters = parameter_count(hyperparameters, *sizes)
    return Estimate(
        parameters=parameters,
        model_bytes=parameters * BYTES_PER_PARAMETER,
        batch_bytes=_batch_bytes(hyperparameters, entry.observation_dim),
        replay_bytes=round(
            REPLAY_GROWTH * replay_bytes(hyperparameters, *sizes, spec.budget.total_steps)
        ),
    )


def _batch_bytes(h: Hyperparameters, observation_dim: int) -> int:
    """Of the encoder's update, the largest: observations and activations of the whole unroll."""
    hidden = 5 * h.encoder_hidden_dim + 2 * h.zs_dim + h.zsa_dim + h.za_dim + h.num_bins
    per_step = observation_dim + KEPT_PER_UNIT * hidden
    return 4 * h.batch_size * (h.horizon + 1) * per_step


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
