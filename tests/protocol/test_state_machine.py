"""60 runs of the state machine on each database. `make protocol` makes more of them."""

import os
from pathlib import Path

from tests.protocol.running import run_machine

RUNS, STEPS = int(os.environ.get("PROTOCOL_RUNS", "30")), 50


def test_no_order_of_events_breaks_the_protocol(database_url: str, tmp_path: Path) -> None:
    done = run_machine(database_url, tmp_path / "data", runs=RUNS, steps=STEPS, number=0)
    assert done["runs"] >= RUNS
    assert done["steps"] >= RUNS * STEPS
