"""A host's copies go when nobody there works on their job, and never before."""

import subprocess
import sys
from pathlib import Path

from store.cache import Cache

MINE, OTHER = "job_01", "job_02"
# Says when it has the lock, then waits to be killed.
HOLDER = """
import sys
from pathlib import Path
from store.cache import Cache
with Cache(Path(sys.argv[1])).using(sys.argv[2]):
    print("locked", flush=True)
    sys.stdin.read()
"""


def fill(root: Path, job_id: str) -> Path:
    folder = root / job_id / "1-10"
    folder.mkdir(parents=True)
    (folder / "file").write_text("x")
    return folder


def test_what_nobody_uses_makes_room(tmp_path: Path) -> None:
    mine, other = fill(tmp_path, MINE), fill(tmp_path, OTHER)
    (tmp_path / "not-ours").mkdir()
    with Cache(tmp_path).using(MINE):
        assert mine.exists()
        assert not other.exists()
    assert mine.exists(), "the job may go on here"
    assert (tmp_path / "not-ours").exists()


def test_what_another_process_uses_stays_until_it_dies(tmp_path: Path) -> None:
    other = fill(tmp_path, OTHER)
    command = [sys.executable, "-c", HOLDER, str(tmp_path), OTHER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with Cache(tmp_path).using(MINE):
            assert other.exists()
        holder.kill()
    with Cache(tmp_path).using(MINE):
        assert not other.exists()


def test_two_may_use_one_job(tmp_path: Path) -> None:
    """A fenced attempt may not have noticed yet."""
    mine = fill(tmp_path, MINE)
    cache = Cache(tmp_path)
    with cache.using(MINE), Cache(tmp_path).using(MINE):
        assert mine.exists()
