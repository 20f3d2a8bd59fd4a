"""What `pip install .` installs: the images hold nothing else."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.deploy.files import ROOT, text


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",  # the builder is in the dev extra, under constraints.txt
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = folder.glob("*.whl")
    with ZipFile(file) as opened:
        yield opened


def test_every_file_of_our_packages_is_in_the_wheel(wheel: ZipFile) -> None:
    """Templates, static files, migrations with their template: not only the modules."""
    packages = tomllib.loads(text("pyproject.toml"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    files = {
        str(path.relative_to(ROOT))
        for package in packages["packages"]
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert files - set(wheel.namelist()) == set()
    others = {Path(name).suffix for name in files}
    assert {".html", ".js", ".css", ".mako"} <= others


def test_the_wheel_holds_nothing_else(wheel: ZipFile) -> None:
    roots = {name.split("/")[0] for name in wheel.namelist()}
    info = {root for root in roots if root.endswith(".dist-info")}
    assert roots - info == {"app", "cli", "migrations", "mrq_core", "store", "worker"}


def test_the_licences_go_with_it(wheel: ZipFile) -> None:
    names = [name.split("/licenses/")[1] for name in wheel.namelist() if "/licenses/" in name]
    vendored = ("htmx", "pico", "uplot")
    assert "LICENSE" in names
    assert all(any(f"vendor/{each}/LICENSE" in name for name in names) for each in vendored)
