"""Which processes of a campaign are there, found by a mark in their environment."""

import os
import time

import psutil

MARK = "RELIABILITY_CAMPAIGN"


def marked(mark: str) -> list[psutil.Process]:
    """All but this one, whoever their parent is by now. Zombies have no environment any more."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                found.append(process)
        except psutil.Error:
            continue
    return found


def left_after(mark: str, seconds: float) -> list[psutil.Process]:
    until = time.monotonic() + seconds
    while (left := marked(mark)) and time.monotonic() < until:
        time.sleep(0.1)
    return left
