"""`mrq policy export`: a folder to pass on."""

import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import update

from cli.exporting import export_policy
from cli.model_card import model_card
from store.database import Database
from store.errors import SetupError
from store.settings import Settings
from store.tables import Checkpoint
from tests.app.bundles import linear_bundle
from tests.app.driving import KEY, trained_job

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def head_of(card: str) -> Any:
    _, head, _ = card.split("---\n", 2)
    return yaml.safe_load(head)


def test_a_policy_is_exported_with_a_card(
    serve: Callable[[], str], database: Database, settings: Settings, tmp_path: Path
) -> None:
    bundle = linear_bundle(algorithm="mrq")
    trained_job(database, settings, bundle, name="swing")
    folder = tmp_path / "swing"
    command = [sys.executable, "-m", "cli.main", "policy", "export", "swing", str(folder)]
    done = subprocess.run(
        [*command, "--url", serve()],
        capture_output=True,
        text=True,
        env={**os.environ, "MRQ_API_KEY": KEY, "MRQ_DATA_DIR": str(settings.data_dir)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"mrq: swing:1 is in {folder}\n"
    assert {path.name for path in folder.iterdir()} == {"policy.onnx", "policy.json", "README.md"}
    assert (folder / "policy.onnx").read_bytes() == bundle.onnx
    assert yaml.safe_load((folder / "policy.json").read_text()) == bundle.manifest
    card = (folder / "README.md").read_text()
    head = head_of(card)
    assert head["tags"] == ["reinforcement-learning", "onnx", "mrq", "Pendulum-v1"]
    (judged,) = head["model-index"][0]["results"]
    assert judged["dataset"]["name"] == "Pendulum-v1"
    assert judged["metrics"][0]["value"] == "-150.00 +/- 50.00"
    assert "| -150.00 +/- 50.00, over 2 episodes, deterministic |" in card
    assert sha256(bundle.onnx).hexdigest() in card


def test_nothing_is_written_of_what_is_missing_or_damaged(
    serve: Callable[[], str], database: Database, settings: Settings, tmp_path: Path
) -> None:
    trained_job(database, settings, name="swing")
    url, folder = serve(), tmp_path / "swing"
    with pytest.raises(SetupError, match="No policy 'none' here"):
        export_policy(url, KEY, "none", folder)
    with pytest.raises(SetupError, match="needs the API key"):
        export_policy(url, "wrong", "swing", folder)
    with database.write() as session:
        session.execute(update(Checkpoint).values(onnx=b"damaged"))
    with pytest.raises(
        SetupError, match=r"policy.onnx came with the sha256 [0-9a-f]{64}, recorded"
    ):
        export_policy(url, KEY, "swing", folder)
    assert not folder.exists()


def test_a_folder_with_something_in_it_stays_as_it_is(
    serve: Callable[[], str], database: Database, settings: Settings, tmp_path: Path
) -> None:
    trained_job(database, settings, name="swing")
    url, folder = serve(), tmp_path / "swing"
    folder.mkdir()
    (folder / "notes").touch()
    with pytest.raises(SetupError, match="is not empty"):
        export_policy(url, KEY, "swing", folder)
    assert [path.name for path in folder.iterdir()] == ["notes"]
    with pytest.raises(SetupError, match="cannot be written"):
        export_policy(url, KEY, "swing", folder / "notes")


@pytest.mark.parametrize(
    ("evaluation", "said"),
    [
        (None, "not evaluated"),
        (
            {"return_mean": 3.0, "return_std": None, "episodes": 9, "estimate": {}},
            "estimated from a log of 9 episodes, never seen to act",
        ),
    ],
)
def test_a_card_boasts_of_no_return_that_nobody_has_seen(
    evaluation: Any, said: str, database_url: str
) -> None:
    told = ("name", "version", "environment_id", "step", "action_space", "sha256")
    policy: dict[str, Any] = {**dict.fromkeys(told, "x"), "send": "1 | 2", "evaluation": evaluation}
    card = model_card(policy, linear_bundle().manifest)
    assert "model-index" not in head_of(card)
    assert f"| mean return | {said} |" in card
    assert "| observation | 1 \\| 2 |" in card
