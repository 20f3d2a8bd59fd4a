"""Our numbers against the reference's; `benchmarks.parity` defines the error and the tolerances."""

import os

import pytest
import torch

from benchmarks.parity import (
    CASES,
    TOLERANCES,
    case_errors,
    load,
    shift_difference,
    two_hot_errors,
)

# A state encoder's parameters: three linear layers, or four convolutions and one.
STATE_PARAMETERS = {name: 10 if name.startswith("pixels") else 6 for name in CASES}


def require_reference(name: str) -> None:
    try:
        load(name)
    except FileNotFoundError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"6 MB that are not in the repository: {error}")


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_every_number_of_a_case_agrees(name: str, dtype: torch.dtype) -> None:
    require_reference(name)

    errors = case_errors(name, dtype)

    # 6 updates; all parameters of 6 networks, twice.
    encoder = STATE_PARAMETERS[name] + 12
    assert len(errors) == 3 * 1 + 3 * 7 + 2 * (2 * encoder + 2 * 8 + 2 * 6)
    tolerance = TOLERANCES[dtype]
    assert {key: error for key, error in errors.items() if not error <= tolerance} == {}


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_the_two_hot_code_agrees(dtype: torch.dtype) -> None:
    assert max(two_hot_errors(dtype).values()) <= TOLERANCES[dtype]


def test_the_shifted_images_agree() -> None:
    assert shift_difference() == 0
