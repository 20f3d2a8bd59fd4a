"""Every few points of a job's life fail, and those with a name in every way: it ends as always.

`make failpoints` lets every single one fail.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.servers import ValkeyProcess
from tests.protocol.advancing import Covered, Stage, advance
from tests.protocol.faults import Fault, Kind
from tests.protocol.stories import disturbed, overtaken

LEASE_SECONDS = 1.0
CHECKPOINT = "store.results.record_training_checkpoint"
NAMED = {
    "after the claim": ("service", "store.ownership.claim_next committed"),
    "before the spawn": ("service", "worker.trainer_process.__init__ open for ab"),
    "after the rename": ("trainer", "store.artifacts.write renamed"),
    "before the commit": ("service", f"{CHECKPOINT} commit"),
    "after the commit": ("service", f"{CHECKPOINT} committed"),
    "before the reply": ("service", "store.jobs.submit_job committed"),
    "between publish and mark": ("service", "store.doorbell.ring published"),
    "during a release": ("service", "store.endings.hand_back commit"),
    "during a reap": ("service", "store.endings.reap_expired commit"),
    "in a cancel": ("service", "store.lifecycle.cancel_job commit"),
}


@pytest.fixture
def stage(database_url: str, _valkey: ValkeyProcess, tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(database_url, _valkey.url, tmp_path / "lives")
    yield stage
    stage.close()


@pytest.mark.parametrize("kind", [Kind.KILL, Kind.ERROR, Kind.DELAY])
def test_a_named_point(stage: Stage, kind: Kind) -> None:
    with stage.place() as place:
        _, undisturbed = disturbed(place, None)
    for name, (role, label) in NAMED.items():
        fault = Fault(role, kind, label=label, seconds=2 * LEASE_SECONDS)
        lease = LEASE_SECONDS if kind is Kind.DELAY else 60.0
        with stage.place(lease) as place:
            befall = overtaken if kind is Kind.DELAY else disturbed
            assert befall(place, fault) == (label, undisturbed), name


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("role", "kind", "every"),
    [("service", Kind.KILL, 37), ("service", Kind.ERROR, 47), ("second trainer", Kind.FULL, 9)],
)
def test_the_nth_point(stage: Stage, role: str, kind: Kind, every: int) -> None:
    covered: list[Covered] = []
    advance(stage, role, kind, covered.append, every)
    assert len(covered) > 3
