"""Campaigns as processes of their own: they mount a small disk where nobody else sees it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def campaign(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.reliability", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
