"""What a job will need, computed by hand."""

from dataclasses import fields

import pytest

from mrq_core.config import BOUNDS, Hyperparameters
from store.catalogue import CATALOGUE
from store.errors import EstimateTooLarge
from store.estimate import BYTES_PER_PARAMETER, estimate, refuse_if_too_large
from store.spec import JobSpec
from tests.store.specs import hyperparameters, made, mode_of, whole


def test_the_estimate_of_a_small_job_by_hand() -> None:
    """Pendulum: 3 observations, 1 action; all widths 1, 3 bins."""
    widths = ("zs_dim", "zsa_dim", "za_dim", "encoder_hidden_dim")
    ones = dict.fromkeys((*widths, "value_hidden_dim", "policy_hidden_dim"), 1)
    spec = made(**hyperparameters(**ones, num_bins=3))
    encoder = (4 + 2 + 2) + 2 + (3 + 2 + 2) + 2 * (1 + 1 + 3)
    value = 2 * (2 + 2 + 2 + 2)
    policy = 2 + 2 + 2
    # Per step of the unroll: the observation, and 3 times what each unit of a layer gives.
    batch = 4 * 256 * (5 + 1) * (3 + 3 * (5 + 2 + 1 + 1 + 3))
    found = estimate(spec)
    assert found.parameters == encoder + value + policy
    assert found.model_bytes == found.parameters * BYTES_PER_PARAMETER
    # 2 * 1000 slots, doubled up from 1024, of 3 + 1 floats, a reward, three bytes and priorities.
    # Half as much again while it doubles.
    assert found.replay_bytes == 1.5 * 2048 * (4 * 3 + 4 + 4 + 3 + 8 + 8)
    assert found.batch_bytes == batch
    assert found.memory_bytes == found.model_bytes + batch + found.replay_bytes


def test_a_job_that_does_not_fit_is_refused_with_the_figures() -> None:
    spec = made(budget={"total_steps": 10**6}, environment={"id": "Humanoid-v5"})
    needed = estimate(spec).memory_bytes
    assert refuse_if_too_large(spec, needed).memory_bytes == needed
    with pytest.raises(EstimateTooLarge, match=r"GiB of replay buffer.*MRQ_JOB_MEMORY_BYTES") as no:
        refuse_if_too_large(spec, needed - 1)
    assert no.value.param == "algorithm.hyperparameters.buffer_size"
    assert no.value.details == {"needed_bytes": needed, "allowed_bytes": needed - 1}


def test_the_larger_part_is_named() -> None:
    with pytest.raises(EstimateTooLarge) as no:
        refuse_if_too_large(made(), 1000)
    assert no.value.param == "algorithm.hyperparameters"


def test_no_spec_that_is_allowed_breaks_the_estimate() -> None:
    largest = {name: bounds.maximum for name, bounds in BOUNDS.items()}
    kinds = {field.name: field.type for field in fields(Hyperparameters)}
    values = {name: int(v) if kinds[name] == "int" else v for name, v in largest.items()}
    for entry in CATALOGUE:
        spec = made(
            environment=whole(entry),
            budget={"total_steps": 10**8},
            algorithm=hyperparameters(**values)["algorithm"] | {"mode": mode_of(entry)},
        )
        with pytest.raises(EstimateTooLarge):
            refuse_if_too_large(spec, 2**30)


def test_the_estimate_counts_one_batch() -> None:
    wide = {"batch_size": 65_536, "encoder_hidden_dim": 4_096, "enc_horizon": 10}
    body = {
        "environment": {"id": "Pendulum-v1"},
        "budget": {"total_steps": 20_000},
        "algorithm": {"hyperparameters": wide},
    }
    # At the least the three hidden layers of both encoders, forwards: 4 bytes a unit.
    least = 4 * 65_536 * 10 * 5 * 4_096
    assert estimate(JobSpec.model_validate(body)).batch_bytes > least


def test_the_estimate_of_pixels_by_hand() -> None:
    """Catch: four gray frames of 42 by 42, three actions; all widths 1, 3 bins, batches of 2."""
    widths = ("zs_dim", "zsa_dim", "za_dim", "encoder_hidden_dim")
    ones = dict.fromkeys((*widths, "value_hidden_dim", "policy_hidden_dim"), 1)
    spec = made(
        environment={"id": "mrq/Catch-v0"},
        **hyperparameters(**ones, num_bins=3, batch_size=2, enc_horizon=4, q_horizon=3),
    )
    found = estimate(spec)
    # 42 -> 20 -> 9 -> 4 -> 2 pixels a side, of 32 channels.
    convolutions = 32 * (4 * 9 + 1) + 3 * 32 * (32 * 9 + 1) + (32 * 2 * 2 + 1)
    others = (3 + 1) + (3 + 2 + 2) + 2 * (1 + 1 + 3) + 2 * (2 + 2 + 2 + 2) + (2 + 2 + 3 * 2)
    assert found.parameters == convolutions + others
    units = [32 * side * side for side in (20, 9, 4, 2)]
    pixels = 4 * 42 * 42
    copies = 3 * 5 * pixels
    forwards = 4 * (pixels + 2 * units[0])
    both_ways = 4 * (pixels + 2 * sum(units) + 2 * units[0])
    hidden = 4 * 5 * 3 * (5 + 2 + 1 + 1 + 3)
    assert found.batch_bytes == 2 * (hidden + 1.75 * (copies + 4 * forwards + both_ways))


def test_masks_are_stored_too() -> None:
    """Taxi: 500 one-hot states, 6 actions; a byte for each."""
    masked = estimate(made(environment={"id": "Taxi-v4"})).replay_bytes
    assert masked == 1.5 * 2048 * (4 * 500 + 4 * 6 + 6 + 4 + 3 + 8 + 8)


def test_a_frame_is_stored_once_whatever_the_history() -> None:
    def replay(history: int) -> int:
        asked = {"id": "CarRacing-v3", "history": history}
        return estimate(made(environment=asked)).replay_bytes

    assert replay(1) == replay(8)
    # 2 * 1000 slots, doubled up from 1024, and half as much again.
    assert replay(1) > 1.5 * 2048 * 3 * 96 * 96


def test_a_million_steps_of_pixels_are_refused_on_a_small_machine() -> None:
    spec = made(environment={"id": "CarRacing-v3"}, budget={"total_steps": 10**6})
    with pytest.raises(EstimateTooLarge) as no:
        refuse_if_too_large(spec, 16 << 30)
    assert no.value.param == "algorithm.hyperparameters.buffer_size"
