"""The programs of docs/how-to/control-loops.md, run as they stand there against a real server."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mrq_core.spaces import Box
from store.database import Database
from store.settings import Settings
from tests.app.bundles import linear_bundle, pixel_bundle
from tests.app.driving import KEY, trained_job
from tests.deploy.files import text

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

PROGRAMS = re.findall(r"```python\n(.*?)```", text("docs/how-to/control-loops.md"), re.DOTALL)


@pytest.fixture
def run(serve: Callable[[], str], database: Database, settings: Settings) -> Callable[[str], Any]:
    torque = Box((-2.0,), (2.0,), (1,))
    weights = np.array([[0.5], [0.25], [-1.0]], np.float32)
    trained_job(database, settings, linear_bundle(torque, weights), name="pendulum-v1-mrq")
    trained_job(database, settings, pixel_bundle(4, (1, 42, 42)), name="catch-v0-mrq")
    base = serve()

    def run(program: str) -> dict[str, Any]:
        program = program.replace("http://127.0.0.1:8000", base)
        program = program.replace("Bearer KEY", f"Bearer {KEY}")
        program = program.replace("ws://127.0.0.1:8000", base.replace("http", "ws", 1))
        names: dict[str, Any] = {}
        exec(compile(program, "control-loops.md", "exec"), names)
        for opened in {"client", "env"} & names.keys():  # a program's end would do that
            names[opened].close()
        return names

    return run


def test_each_runs_to_the_end_of_its_episodes(
    run: Callable[[str], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    stream, session, state = PROGRAMS
    # A machine that stands still for a moment must not cost the test its actions.
    ran = run(stream.replace('"deadline_ms": 20', '"deadline_ms": 60000'))
    assert (ran["ended"], ran["t"]) == (True, 200)
    assert capsys.readouterr().out == "version 1\n"
    ran = run(session)
    assert (ran["ended"], ran["episode"]) == (True, 1)
    assert run(state)["ended"]
