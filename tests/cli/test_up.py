"""What `mrq up` refuses, with the reason, before anything runs."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.e2e.service import live_service


def _up(*arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MRQ_")}
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "up", *arguments],
        env={**clean, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_a_data_folder_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    code, said = _up("--data-dir", str(file / "data"))
    assert code == 1
    assert str(file / "data") in said
    assert "--data-dir" in said


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, said = _up("--data-dir", str(tmp_path / "data"), "--port", port)
    assert code == 1
    assert f"127.0.0.1:{port}" in said
    assert "--port" in said
    assert not (tmp_path / "data").exists()


def test_a_data_folder_made_by_a_newer_schema_is_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with sqlite3.connect(folder / "mrq.db") as database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
        database.execute("INSERT INTO alembic_version VALUES ('9999')")
    database.close()
    before = (folder / "mrq.db").read_bytes()
    code, said = _up("--data-dir", str(folder), "--port", "0")
    assert code == 1
    assert (folder / "mrq.db").read_bytes() == before
    assert "'9999'" in said
    assert "newer release" in said
    with sqlite3.connect(folder / "mrq.db") as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall()
    database.close()
    assert tables == [("alembic_version",)]
    assert not (folder / "api-key").exists()


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"MRQ_API_KEY": "short"}, "16 characters"),
        ({"MRQ_LEASE_SECONDS": "ten"}, "lease_seconds"),
        ({"MRQ_LEASE_SECONDS": "10", "MRQ_HEARTBEAT_SECONDS": "9"}, "heartbeat_seconds=9"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, environment: dict[str, str], named: str) -> None:
    code, said = _up("--data-dir", str(tmp_path / "data"), environment=environment)
    assert code == 1
    assert named in said


def test_two_on_one_data_folder_and_a_key_shown_once(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with live_service(folder, environment={"MRQ_API_KEY": ""}) as service:
        key_file = folder / "api-key"
        assert key_file.stat().st_mode & 0o777 == 0o600
        code, said = _up("--data-dir", str(folder), "--port", "0")
        assert code == 1
        assert str(service.process.pid) in said
        assert str(folder) in said
        headers = {"Authorization": f"Bearer {key_file.read_text().strip()}"}
        assert service.client.get("/jobs", headers=headers).status_code == 200
        assert service.client.get("/jobs").status_code == 401  # the tests' key is not its key


def test_killed_with_sigkill_it_takes_its_children_along(tmp_path: Path) -> None:
    with live_service(tmp_path / "data") as service:
        family = psutil.Process(service.process.pid).children(recursive=True)
        assert len(family) >= 4
        service.process.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs(family, timeout=10)
        assert alive == []


def test_ctrl_c_stops_everything(tmp_path: Path) -> None:
    with live_service(tmp_path / "data") as service:
        family = psutil.Process(service.process.pid).children(recursive=True)
        service.process.send_signal(signal.SIGINT)
        service.process.communicate(timeout=40)
        assert service.process.returncode == 0
        _, alive = psutil.wait_procs(family, timeout=5)
        assert alive == []


def test_a_login_link_of_the_command_line_logs_a_browser_in(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with live_service(folder, environment={"MRQ_API_KEY": ""}) as service:
        command = [sys.executable, "-m", "cli.main", "login-link"]
        clean = {k: v for k, v in os.environ.items() if not k.startswith("MRQ_")}
        link = subprocess.run(
            [*command, "--url", service.url, "--data-dir", str(folder)],
            env=clean,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        with httpx2.Client(follow_redirects=True) as browser:
            page = browser.get(link)
            assert (page.status_code, page.url.path) == (200, "/ui/jobs")
            assert browser.get(f"{service.url}/ui/login?token=forged").status_code == 401


def test_migrate_says_when_the_folder_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "migrate", "--data-dir", str(tmp_path / "file" / "x")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
