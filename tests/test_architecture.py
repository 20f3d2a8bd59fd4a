"""The arrows between the folders hold, and each contract can fail."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("app", "store", "worker", "mrq_core", "cli")


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = "import sys; from importlinter.cli import lint_imports_command; " + (
        "sys.exit(lint_imports_command())"
    )
    return subprocess.run(
        [sys.executable, "-c", command, "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the packages and their contracts, to break."""
    skipped = shutil.ignore_patterns("__pycache__", "static", "templates")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=skipped)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_hold(tree: Path) -> None:
    done = _lint(tree)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("file", "wrong", "contract"),
    [
        ("app/views.py", "import worker.supervisor", "The server knows neither"),
        ("app/views.py", "import torch", "The server knows neither"),
        # Through somebody else's import, too.
        ("app/views.py", "import mrq_core.training", "The server knows neither"),
        ("store/jobs.py", "import app.views", "The store is shared ground"),
        ("store/jobs.py", "import fastapi", "The store is shared ground"),
        ("mrq_core/agent.py", "import store.spec", "The algorithm knows no service"),
        ("mrq_core/config.py", "import pydantic", "The algorithm knows no service"),
        ("worker/handin.py", "import app.views", "The worker never reaches"),
        ("worker/handin.py", "import torch", "Only the trainer process"),
        ("cli/demo.py", "import mrq_core.agent", "The command line talks"),
    ],
)
def test_each_contract_fails_when_it_is_broken(
    tree: Path, file: str, wrong: str, contract: str
) -> None:
    path = tree / file
    path.write_text(f"{path.read_text()}\n{wrong}\n")
    done = _lint(tree)
    assert done.returncode != 0
    broken = [line for line in done.stdout.splitlines() if line.endswith("BROKEN")]
    assert any(line.startswith(contract) for line in broken), done.stdout
