"""`mrq policy import`: what `mrq policy export` wrote."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from cli.exporting import export_policy
from cli.policy_importing import send_policy
from store.database import Database
from store.errors import SetupError
from store.settings import Settings
from tests.app.bundles import linear_bundle
from tests.app.driving import BEARER, KEY, row_counts, trained_job
from tests.app.policy_importing import GRAPH

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_the_command_takes_the_folder_that_the_other_wrote(
    serve: Callable[[], str], database: Database, settings: Settings, tmp_path: Path
) -> None:
    trained_job(database, settings, linear_bundle(algorithm="mrq"), name="swing")
    url, folder = serve(), tmp_path / "swing"
    export_policy(url, KEY, "swing", folder)
    (folder / ".gitattributes").touch()  # as hubs add
    # The very one that is there.
    assert send_policy(url, KEY, folder, "swing")["version"] == 1
    counts = row_counts(database)
    with pytest.raises(SetupError, match=r"has a policy 'swing' already.*--name"):
        send_policy(url, KEY, folder, None)
    assert row_counts(database) == counts
    card = (folder / "README.md").read_text()
    (folder / "README.md").unlink()
    with pytest.raises(SetupError, match="tells no name"):
        send_policy(url, KEY, folder, None)
    (folder / "README.md").write_text(card.replace("swing", "swung"))
    assert send_policy(url, KEY, folder, None)["name"] == "swung"
    command = [sys.executable, "-m", "cli.main", "policy", "import", str(folder), "--name", "sway"]
    done = subprocess.run(
        [*command, "--url", url],
        capture_output=True,
        text=True,
        env={**os.environ, "MRQ_API_KEY": KEY, "MRQ_DATA_DIR": str(settings.data_dir)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"mrq: {url} serves it as sway:1\n"
    identity, reference = done.stdout.split()
    assert reference == "sway:1"
    policy = httpx2.get(f"{url}/policies/{identity}", headers=BEARER).json()
    assert policy["name"] == "sway"


def test_what_the_command_cannot_send(
    serve: Callable[[], str], database: Database, settings: Settings, tmp_path: Path
) -> None:
    trained_job(database, settings, linear_bundle(algorithm="mrq"), name="swing")
    url, folder = serve(), tmp_path / "swing"
    export_policy(url, KEY, "swing", folder)
    counts = row_counts(database)
    with pytest.raises(SetupError, match="is no folder"):
        send_policy(url, KEY, folder / "none", None)
    with pytest.raises(SetupError, match="needs the API key"):
        send_policy(url, "wrong", folder, None)
    whole = (folder / GRAPH).read_bytes()
    (folder / GRAPH).write_bytes(whole[:-1] + b"x")
    with pytest.raises(SetupError, match="is not the one that was stated"):
        send_policy(url, KEY, folder, "sway")
    (folder / GRAPH).unlink()
    with pytest.raises(SetupError, match="cannot be read"):
        send_policy(url, KEY, folder, None)
    assert row_counts(database) == counts
