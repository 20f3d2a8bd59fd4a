"""The commands of a tutorial's page, run as they stand there, but for address and budget."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.reliability.jobs import TINY
from tests.deploy.files import ROOT, text
from tests.e2e.service import API_KEY, LiveService


def commands(page: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", text(page), re.DOTALL)


def run(command: str, folder: Path, service: LiveService) -> str:
    here = command.replace("http://127.0.0.1:8000", service.url)
    here = here.replace(".venv/bin/python", sys.executable)
    # A page's commands are given in the checkout; these are run elsewhere.
    environment = {**os.environ, "MRQ_API_KEY": API_KEY, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", here],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def shorter(command: str, steps: int = 300) -> str:
    """The same job on networks and a budget that a test has time for."""
    before, _, rest = command.partition("-d '")
    body = json.loads(rest.rpartition("'")[0])
    body["budget"] = {"total_steps": steps}
    body["evaluation"] = {"every_steps": steps if steps < 300 else 150, "episodes": 1}
    body["checkpointing"] = {"every_steps": steps}
    sizes = {**TINY, "warmup_steps": steps * 2 // 3}
    body["algorithm"]["hyperparameters"] = body["algorithm"].get("hyperparameters", {}) | sizes
    return f"{before}-d '{json.dumps(body)}'"
