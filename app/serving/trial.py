"""A stranger's policy, tried by a process that may die before anything is stored of it.

What a graph takes of memory is only known once it is taken, and ONNX Runtime is C++: so a process
of its own, with limits, opens it as this server would and acts by it. Nothing of the server's is in
its environment but the way to its modules, so no secrets.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping

from store.errors import InvalidPolicy
from store.policy_import import PolicyParts
from store.servable import GRAPH

logger = logging.getLogger(__name__)

SECONDS = 60.0
# Python with ONNX Runtime takes 210 MB of address space before it reads a byte.
OWN_BYTES = 1 << 30
# A graph is in memory as it came, as it was parsed, and as it is run.
COPIES = 8
# Of what a pass of images may take beside that.
MOST_PASS_BYTES = 4 << 30
_ENVIRONMENT = {
    "PATH": os.defpath,
    # One thread's worth of address space, whatever the machine.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
}


def try_policy(parts: PolicyParts, max_batch: int) -> None:
    """Blocks for a second or more. `max_batch`: the most rows of a pass. Raises `InvalidPolicy`
    unless it acts here as it acted where it was made."""
    contents = (parts.manifest_bytes, parts.onnx, parts.model or b"")
    order = {
        "sizes": [len(content) for content in contents],
        "max_batch": max_batch,
        "memory_bytes": OWN_BYTES
        + COPIES * sum(map(len, contents))
        + _pass_bytes(parts, max_batch),
        "cpu_seconds": int(SECONDS),
    }
    told = _told(b"".join([json.dumps(order).encode(), b"\n", *contents]))
    if told is not None:
        raise refusal(told)


def _pass_bytes(parts: PolicyParts, max_batch: int) -> int:
    """Of the largest: some layers of an image are as large as the image."""
    return min(MOST_PASS_BYTES, COPIES * 4 * max_batch * parts.facts.observation_dim)


def refusal(told: Mapping[str, str]) -> InvalidPolicy:
    file, why = told["file"], told["why"]
    return InvalidPolicy(
        f"{file}: the policy is refused, for {why}; allowed: what acts here as its golden pairs "
        "say.",
        param=file,
        value=why,
    )


def _told(order: bytes) -> dict[str, str] | None:
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "app.serving.trial_process"],
            input=order,
            capture_output=True,
            timeout=SECONDS,
            check=False,
            cwd="/",
            env={**_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    except subprocess.TimeoutExpired:
        return {"file": GRAPH, "why": f"trying it takes more than {SECONDS:g} s"}
    if done.stderr:
        logger.warning("trying a policy: %s", done.stderr.decode(errors="replace")[-2000:])
    if done.returncode != 0:
        return {"file": GRAPH, "why": f"what tried it died of it (status {done.returncode})"}
    return _read(done.stdout)


def _read(answer: bytes) -> dict[str, str] | None:
    """It was in one process with the stranger's graph."""
    try:
        told = json.loads(answer)
    except (ValueError, RecursionError):
        told = ...
    match told:
        case None:
            return None
        case {"file": str(file), "why": str(why)}:
            return {"file": file, "why": why}
    return {"file": GRAPH, "why": "what tried it died of it (it told nothing that can be read)"}
