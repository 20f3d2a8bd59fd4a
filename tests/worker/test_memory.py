"""What Linux says of a process's memory."""

import os
from pathlib import Path

import numpy as np

from worker.memory import oom_kills, peak_resident_bytes

EVENTS = "low 0\nhigh 3\nmax 9\noom 2\noom_kill 4\noom_group_kill 1\n"


def test_kills_of_this_cgroup_are_counted(tmp_path: Path) -> None:
    events = tmp_path / "memory.events"
    events.write_text(EVENTS)
    assert oom_kills(events) == 4
    events.write_text("low 0\n")
    assert oom_kills(events) == 0
    assert oom_kills(tmp_path / "not there") == 0


def test_the_peak_is_of_what_was_resident() -> None:
    before = peak_resident_bytes(os.getpid())
    block = np.ones(64 << 20, dtype=np.uint8)
    after = peak_resident_bytes(os.getpid())
    assert before is not None
    assert after is not None
    assert after >= block.nbytes
    assert after >= before
    assert peak_resident_bytes(2**22 + 1) is None
