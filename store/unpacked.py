"""An upload as the CSV that is checked and kept: itself, or what is made of it.

What is made is made once, by a process of its own: see `mrq_core.unpacking.__main__`. Its
environment has nothing of the server's but the way to its modules, so no secrets.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mrq_core.csv_table import Limits, Problem, TableRefused, TooLarge, refused
from mrq_core.logged.reading import ActionKind
from store.artifacts import hash_of
from store.dataset_formats import CSV, Format
from store.storage_faults import DATASET, require_space_for, storage_told

logger = logging.getLogger(__name__)

SECONDS = 120.0
# An interpreter with numpy and PyArrow takes 350 MB of address space before it reads a byte.
OWN_BYTES = 1 << 30
# As of `app.uploads`, so that what a killed server leaves is removed there.
PREFIX = "upload-"
_ENVIRONMENT = {
    "PATH": os.defpath,
    # One thread's worth of address space, whatever the machine: the memory is limited.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    # HDF5 loads no code that a file asks for.
    "HDF5_PLUGIN_PRELOAD": "::",
}


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A file on this host's disk, as it came, and what was said of it. `actions`: of transitions;
    None: to be found out."""

    path: Path
    name: str
    role: str
    mapped: Mapping[str, str]
    dropped: Sequence[str]
    actions: ActionKind | None = None
    format: Format = CSV


@dataclass(frozen=True)
class AsCsv:
    """`dropped`: of the columns that are still there. `source`: of what came, if that is no CSV."""

    path: Path
    dropped: Sequence[str]
    source: dict[str, Any] | None = None


@contextmanager
def as_csv(upload: Upload, limits: Limits, reserve_bytes: int) -> Iterator[AsCsv]:
    """`TableRefused`. What is made lies beside `path`, and is gone with the block."""
    path, kind = upload.path, upload.format
    if kind == CSV:
        yield AsCsv(path, upload.dropped)
        return
    require_space_for(DATASET, path.parent, limits.unpacked_bytes, reserve_bytes)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=PREFIX) as made:
        order = {
            "format": kind.name,
            "source": str(path),
            "target": made.name,
            "mapped": dict(upload.mapped),
            "dropped": list(upload.dropped),
            "limits": asdict(limits),
            "memory_bytes": OWN_BYTES + 2 * limits.unpacked_bytes,
        }
        told = _told(order, kind)
        if problems := told.get("problems"):
            kinds: type[TableRefused] = TooLarge if told["too_large"] else TableRefused
            raise kinds(*(Problem(**each) for each in problems))
        left = [name for name in upload.dropped if name not in told["left_out"]]
        source = {
            "format": kind.name,
            "sha256": hash_of(path),
            "size_bytes": path.stat().st_size,
        }
        yield AsCsv(Path(made.name), left, source)


def _told(order: Mapping[str, Any], kind: Format) -> dict[str, Any]:
    with storage_told(DATASET):
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "mrq_core.unpacking"],
                input=json.dumps(order).encode(),
                capture_output=True,
                timeout=SECONDS,
                check=False,
                env={**_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        except subprocess.TimeoutExpired:
            raise refused(
                f"Reading the {kind.title} takes more than {SECONDS:g} s: send it as CSV."
            ) from None
    if done.stderr:
        logger.warning("unpacking %s: %s", kind.name, done.stderr.decode(errors="replace")[-2000:])
    if done.returncode != 0:
        raise refused(
            f"The {kind.title} file is damaged: what reads it failed (status {done.returncode}). "
            "Write it anew, or send it as CSV."
        )
    told: dict[str, Any] = json.loads(done.stdout)
    return told
