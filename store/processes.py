"""Processes that never outlive their parent, and how they ended."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
# Loaded here: between fork and exec there must be as little to do as can be.
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int) -> None:
    """Linux kills this process when the thread that started it ends, however it ends.

    `parent` is the pid the caller expects: if it is already gone, the signal would never come.
    """
    kill_with_parent()
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def kill_with_parent() -> None:
    """For `preexec_fn`, too: the kernel kills the child when its parent ends, however it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def stop_with_parent() -> None:
    """The same with SIGTERM, for a child that has children of its own to stop."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def kill_group(leader: int) -> None:
    """SIGKILL to a process group; no error when it has gone."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def describe_exit(code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
