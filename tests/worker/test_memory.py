"""What Linux says of a process's memory."""

import subprocess
import sys
from pathlib import Path

import pytest

from worker.memory import oom_kills, peak_resident_bytes

EVENTS = "low 0\nhigh 3\nmax 9\noom 2\noom_kill 4\noom_group_kill 1\n"
# In a process of its own: this one may have had more memory at some time.
GROW = """
import os
from worker.memory import peak_resident_bytes
before = peak_resident_bytes(os.getpid())
block = b"x" * (64 << 20)
del block
print(peak_resident_bytes(os.getpid()) - before)
"""


@pytest.mark.parametrize(
    ("own", "folder"),
    [
        ("0::/\n", ""),  # in a container
        ("9:name=systemd:/\n0::/system.slice/mrq.service\n", "system.slice/mrq.service"),
    ],
)
def test_kills_of_this_cgroup_are_counted(tmp_path: Path, own: str, folder: str) -> None:
    (tmp_path / "own").write_text(own)
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    events = tmp_path / folder / "memory.events"
    events.write_text(EVENTS)
    assert oom_kills(tmp_path, tmp_path / "own") == 4
    events.write_text("low 0\n")
    assert oom_kills(tmp_path, tmp_path / "own") == 0


@pytest.mark.parametrize("own", ["4:memory:/old\n", "0::/elsewhere\n", ""])
def test_where_linux_does_not_say_there_were_none(tmp_path: Path, own: str) -> None:
    (tmp_path / "own").write_text(own)
    assert oom_kills(tmp_path, tmp_path / "own") == 0
    assert oom_kills(tmp_path, tmp_path / "none") == 0


def test_the_peak_is_of_what_was_resident_at_some_time() -> None:
    command = [sys.executable, "-c", GROW]
    grown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert int(grown) >= 60 << 20
    assert peak_resident_bytes(2**22 + 1) is None, "no process has that number"
