"""Our numbers against the reference's, in float64; `benchmarks.parity` defines the error."""

import pytest

from benchmarks.parity import CASES, TOLERANCE, case_errors, two_hot_errors


@pytest.mark.parametrize("name", CASES)
def test_every_number_of_a_case_agrees(name: str) -> None:
    errors = case_errors(name)

    # 6 updates; all parameters of 6 networks, twice.
    assert len(errors) == 3 * 1 + 3 * 7 + 2 * (2 * 18 + 2 * 8 + 2 * 6)
    assert {key: error for key, error in errors.items() if error > TOLERANCE} == {}


def test_the_two_hot_code_agrees() -> None:
    assert max(two_hot_errors().values()) <= TOLERANCE
