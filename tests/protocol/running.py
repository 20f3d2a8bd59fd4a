"""Runs of the state machine, each with as many steps, from one seed."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from store.database import Database
from store.settings import Settings
from tests.protocol.clock import FakeClock
from tests.protocol.machine import Protocol
from tests.protocol.world import World


def run_machine(
    database_url: str, data_dir: Path, *, runs: int, steps: int, number: int, shrink: bool = True
) -> Counter[str]:
    """Returns how many `runs` and `steps` were made. `number` is the seed: the same one, the same
    runs."""
    with _machine(database_url, data_dir) as machine:
        run_state_machine_as_test(
            seed(number)(machine),
            _min_steps=steps,  # or it ends some after a few
            settings=settings(
                max_examples=runs,
                stateful_step_count=steps,
                database=None,
                deadline=None,
                print_blob=True,
                report_multiple_bugs=False,
                verbosity=Verbosity.normal,
                phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
                suppress_health_check=list(HealthCheck),
            ),
        )
        return machine.done


@contextmanager
def _machine(database_url: str, data_dir: Path) -> Iterator[type[Protocol]]:
    """A machine whose worlds follow each other on one database."""
    service = Settings.model_validate(
        {
            "data_dir": data_dir,
            "database_url": database_url,
            "api_key": "a-key-for-tests-only",
            "lease_seconds": 60.0,
            "heartbeat_seconds": 10.0,
            "reap_seconds": 5.0,
            "ring_again_seconds": 30.0,
            "backoff_seconds": 5.0,
            "storage_wait_seconds": 60.0,
            "max_attempts_without_progress": 3,
            "job_memory_bytes": 8 << 30,
        }
    )
    database = Database(service.database_url)
    clock = FakeClock(0)
    clock.drive(database)

    class Machine(Protocol):
        done: ClassVar[Counter[str]] = Counter()
        make_world = staticmethod(lambda: World(database, service, clock))

    try:
        yield Machine
    finally:
        database.dispose()
