"""What can be known, without an engine and more machines, of the files for several of them."""

import re
from typing import Any

import pytest

from store.settings import Settings
from tests.deploy.files import compose, text
from worker.attempt import STOP_GRACE_SECONDS

MACHINES = ("database", "broker", "server", "worker")
PAGE = "docs/how-to/several-machines.md"
OF_AWS = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
}
# Of the libraries, not settings of ours.
FOREIGN = {*OF_AWS, "FORWARDED_ALLOW_IPS"}


def _services(machine: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose(f"compose/{machine}.yaml")["services"]
    return found


SERVICES = {name: service for machine in MACHINES for name, service in _services(machine).items()}
OURS = ("app", "reconciler", "migrate", "worker")


def test_together_they_are_the_services_of_one_host() -> None:
    assert set(SERVICES) == set(compose()["services"])
    assert sum(len(_services(machine)) for machine in MACHINES) == len(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_images_and_rights_are_those_of_one_host(name: str) -> None:
    here, there = SERVICES[name], compose()["services"][name]
    for key in ("image", "user", "cap_drop", "security_opt", "read_only", "tmpfs", "init"):
        assert here.get(key) == there.get(key), key
    assert here.get("build", {}).get("target") == there.get("build", {}).get("target")
    assert "privileged" not in here
    assert "cap_add" not in here


@pytest.mark.parametrize("machine", MACHINES)
def test_nothing_is_published_but_on_an_address_that_is_named(machine: str) -> None:
    for name, service in _services(machine).items():
        inner = {"database": "5432", "broker": "6379", "app": "8000"}.get(name)
        ports = service.get("ports", [])
        assert [port.rpartition(":")[2] for port in ports] == ([inner] if inner else [])
        assert all(port.startswith(("127.0.0.1:", "${MRQ_PRIVATE_ADDRESS:?")) for port in ports)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_variable_that_is_missing_stops_compose_and_the_page_names_it(machine: str) -> None:
    written = text(f"compose/{machine}.yaml")
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", written))
    required = set(re.findall(r"\$\{(\w+):\?", written))
    assert used - required <= {"MRQ_PROXY_IPS", "MRQ_PORT", "TORCH_INDEX_URL", "SERVER_EXTRAS"}
    assert [name for name in sorted(required) if name not in text(PAGE)] == []


@pytest.mark.parametrize("machine", ["server", "worker"])
def test_every_variable_of_ours_is_a_setting(machine: str) -> None:
    known = {f"MRQ_{name.upper()}" for name in Settings.model_fields}
    given = {key for service in _services(machine).values() for key in service["environment"]}
    assert given - known <= FOREIGN


def test_each_process_has_the_secrets_that_it_needs_and_no_others() -> None:
    having = {name: set(SERVICES[name]["environment"]) for name in OURS}
    assert {name for name in OURS if "MRQ_API_KEY" in having[name]} == {"app"}
    assert {name for name in OURS if "MRQ_BROKER_URL" in having[name]} == {"reconciler", "worker"}
    assert {name for name in OURS if having[name] >= OF_AWS} == {"app", "reconciler", "worker"}
    assert all("MRQ_DATABASE_URL" in having[name] for name in OURS)


def test_checkpoints_are_in_the_bucket_alone() -> None:
    for name in ("app", "worker"):
        assert "MRQ_ARTIFACTS_URL" in SERVICES[name]["environment"]
        assert "MRQ_ARTIFACT_DIR" not in SERVICES[name]["environment"]


def test_a_worker_has_a_name_a_folder_of_its_own_and_time_to_hand_its_job_back() -> None:
    worker = SERVICES["worker"]
    assert worker["hostname"].startswith("${MRQ_WORKER_HOST:?")
    assert worker["volumes"] == ["/data"]
    assert int(worker["stop_grace_period"].removesuffix("s")) >= STOP_GRACE_SECONDS + 20


def test_nothing_waits_for_a_service_of_another_machine() -> None:
    for machine in MACHINES:
        services = _services(machine)
        for service in services.values():
            assert set(service.get("depends_on", {})) <= set(services)


def test_what_ends_while_another_machine_is_away_is_started_again() -> None:
    assert SERVICES["migrate"]["restart"] == "on-failure"
    others = {name: service["restart"] for name, service in SERVICES.items() if name != "migrate"}
    assert set(others.values()) == {"unless-stopped"}


def test_secrets_are_never_arguments() -> None:
    for name in OURS:
        assert "$" not in " ".join(SERVICES[name].get("command", []))


def test_the_broker_asks_for_its_password_as_on_one_host() -> None:
    kept = " --appendonly yes --appendfsync everysec"  # the difference: nothing is kept
    assert SERVICES["broker"]["command"] == [
        part.replace(kept, "") for part in compose()["services"]["broker"]["command"]
    ]
