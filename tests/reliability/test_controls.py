"""With a defect in the service a campaign finds it."""

import pytest

from tests.reliability.processes import campaign


@pytest.mark.timeout(300)
@pytest.mark.parametrize("control", ["no_fencing", "in_place_write"])
def test_a_defect_breaks_the_invariant_that_was_named(control: str) -> None:
    done = campaign("--control", control)
    assert done.returncode == 0, done.stdout + done.stderr
