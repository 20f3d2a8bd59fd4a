"""The commands of docs/how-to/promote-and-roll-back.md, as they stand there."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable

import pytest

from store.database import Database
from store.settings import Settings
from tests.app.driving import KEY
from tests.app.serving.swinging import trained
from tests.deploy.files import text

PAGE = "docs/how-to/promote-and-roll-back.md"
SET = "export URL=http://127.0.0.1:8000 KEY=$MRQ_API_KEY POLICY=pendulum-v1-mrq\n"


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page uses curl")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_its_commands_do_what_it_says(
    serve: Callable[[], str], database: Database, settings: Settings
) -> None:
    trained(database, settings, 2)
    blocks = re.findall(r"```sh\n(.*?)```", text(PAGE), re.DOTALL)
    assert SET in blocks[0]
    own = f"export URL={serve()} KEY={KEY} POLICY=swing\n"
    program = "\n".join(blocks).replace(SET, own)
    # An answer to a line, and a shadow's opinion comes a moment later.
    program = program.replace("ask() { curl", "ask() { curl --write-out '\\n'")
    program = program.replace('ask "$URL/metrics"', 'seen "$URL/metrics"')
    seen = 'seen() { until ask "$@" | grep "shadow_requests.* 1$"; do :; done; }\n'
    environment = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", seen + program],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [each for each in answers if "code" in each] == []
    made, acted, promoted, back, history, _, by_name, changed = answers
    assert [each["version"] for each in (made, acted, promoted, back)] == [1, 1, 2, 1]
    assert [each["to_version"] for each in history["data"]] == [1, 2, 1]
    assert (by_name["version"], changed["revision"]) == (1, 2)
    assert 'mrq_shadow_requests_total{policy="swing",version="1",shadow="2"} 1' in done.stdout
