"""The commands of a tutorial's page, run as they stand there, but for address and budget."""

import json
import os
import re
import subprocess
from pathlib import Path

from tests.deploy.files import text
from tests.e2e.service import API_KEY, LiveService, tiny_job


def commands(page: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", text(page), re.DOTALL)


def run(command: str, folder: Path, service: LiveService) -> str:
    here = command.replace("http://127.0.0.1:8000", service.url)
    environment = {**os.environ, "MRQ_API_KEY": API_KEY}
    done = subprocess.run(
        ["bash", "-c", here],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def shorter(command: str) -> str:
    """The same job on networks and a budget that a test has time for."""
    tiny = tiny_job(budget={"total_steps": 300}, evaluation={"every_steps": 150, "episodes": 2})
    body = json.loads(command.partition("-d '")[2].rpartition("'")[0])
    body |= {name: tiny[name] for name in ("algorithm", "budget", "evaluation")}
    return command.partition("-d '")[0] + f"-d '{json.dumps(body)}'"
