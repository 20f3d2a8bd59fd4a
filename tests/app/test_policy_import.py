"""`POST /policies/import`: a policy goes from one service to another."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from app.main import create_app
from cli.exporting import export_policy
from mrq_core.spaces import Space
from store import policy_import
from store.database import Database
from store.invariants import broken_invariants
from store.settings import Settings
from tests.app.bundles import CONTINUOUS, DISCRETE, GOLDEN, linear_bundle, pixel_bundle
from tests.app.driving import BEARER, KEY, row_counts, trained_job
from tests.app.learned import learned, rows
from tests.app.policy_importing import GRAPH, MANIFEST, MODEL, files_of, policy_files, post, sha256

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def there(
    make_settings: Callable[..., Settings], tmp_path: Path, _migrated_sqlite: Path
) -> Iterator[TestClient]:
    """Another service, with a database and a folder of its own."""
    folder = tmp_path / "there"
    folder.mkdir()
    shutil.copy(_migrated_sqlite, folder / "mrq.db")
    app = create_app(make_settings(data_dir=folder, database_url=f"sqlite:///{folder}/mrq.db"))
    with TestClient(app, headers=BEARER, raise_server_exceptions=False) as client:
        yield client


def assert_nothing_is_left(database: Database, settings: Settings) -> None:
    assert set(row_counts(database).values()) == {0}
    assert not any(settings.artifact_dir.rglob("*"))


def act(client: TestClient, **body: Any) -> Any:
    answer = client.post("/policies/swing/act", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["actions"]


@SQLITE
@pytest.mark.parametrize("space", [CONTINUOUS, DISCRETE], ids=["box", "discrete"])
def test_it_acts_there_as_here_to_the_last_bit(
    serve: Callable[[], str],
    client: TestClient,
    there: TestClient,
    database: Database,
    settings: Settings,
    tmp_path: Path,
    space: Space,
) -> None:
    made = learned(space)
    trained_job(database, settings, made.bundle, name="swing")
    folder = tmp_path / "swing"
    export_policy(serve(), KEY, "swing", folder)
    files = {name: (folder / name).read_bytes() for name in (MANIFEST, GRAPH, MODEL)}
    answer = post(there, files, name="swing", sha256=sha256(files[GRAPH]))
    assert answer.status_code == 201, answer.text
    assert answer.json() == there.get(answer.headers["location"]).json()
    golden = made.bundle.manifest["golden"]["observations"]
    random = rows(50).tolist()
    for observations in (golden, random):
        assert act(there, observations=observations) == act(client, observations=observations)
        drawn = {"observations": observations, "mode": "sample", "seed": 7}
        assert act(there, **drawn) == act(client, **drawn)
    told = {"observations": random, "return": ["q", "reward", "latent"]}
    here, elsewhere = (c.post("/policies/swing/act", json=told).json() for c in (client, there))
    for key in ("actions", "q", "reward", "latent"):
        assert elsewhere[key] == here[key]
    # And what goes out again is what came in.
    checkpoint = f"/jobs/{answer.json()['job_id']}/checkpoints/{answer.json()['checkpoint_id']}"
    again = {name: there.get(f"{checkpoint}/files/{name}").content for name in files}
    assert again == files


@SQLITE
def test_pixels_and_frames(client: TestClient) -> None:
    bundle = pixel_bundle()
    assert post(client, files_of(bundle), name="swing").status_code == 201
    frames = np.array(bundle.manifest["golden"]["observations"][1]).reshape(2, 3, 40, 36)
    actions = bundle.manifest["golden"]["actions"]
    assert act(client, observations=[frames.astype(int).tolist()]) == actions[1:]


def test_all_that_there_is_of_a_job_goes_on_working(
    client: TestClient, database: Database, settings: Settings
) -> None:
    """On both databases."""
    policy = post(client, policy_files(weights_sha256="ab" * 32)).json()
    assert (policy["name"], policy["version"], policy["step"]) == ("pendulum-v1-mrq", 1, 1_000)
    assert policy["evaluation"] is None
    assert policy["environment_id"] == "Pendulum-v1"
    path = f"/jobs/{policy['job_id']}"
    job = client.get(path).json()
    assert (job["status"], job["status_reason"]) == ("succeeded", "imported")
    assert (job["attempt"], job["progress"]["step"], job["progress"]["fraction"]) == (0, 1_000, 1)
    assert job["weights_sha256"] == "ab" * 32
    assert job["policy"]["id"] == policy["id"]
    assert "extend" not in job["actions"]
    (checkpoint,) = client.get(f"{path}/checkpoints").json()["data"]
    assert (checkpoint["id"], checkpoint["kind"]) == (policy["checkpoint_id"], "policy")
    names = client.get(f"{checkpoint['links']['files']}").json()["data"]
    assert [each["name"] for each in names] == [GRAPH, MANIFEST]
    for more in ("attempts", "evaluations", "metrics", "events"):
        assert client.get(f"{path}/{more}").status_code == 200
    types = [event["type"] for event in client.get(f"{path}/events").json()["data"]]
    assert types == ["status", "policy"]
    for page in ("/ui/jobs", f"/ui{path}"):
        answer = client.get(page)
        assert answer.status_code == 200, answer.text
        assert "pendulum-v1-mrq" in answer.text
        assert "Warning" not in answer.text
    assert "It was trained elsewhere." in answer.text
    assert "No evaluation was imported." in answer.text
    assert "it was imported." in answer.text
    extended = client.post(f"{path}/extend", json={"total_steps": 2_000})
    assert extended.status_code == 409
    assert "as a policy" in extended.json()["detail"]
    begun = client.post("/jobs", json=job["spec"] | {"init_from": {"job_id": policy["job_id"]}})
    assert begun.status_code == 422
    assert client.post(f"{path}/clone", json={}).status_code == 201
    assert broken_invariants(database, settings) == []
    assert client.delete(path).json()["code"] == "pinned"
    assert client.delete(path, params={"with_policies": "true"}).status_code == 200
    assert client.get(f"/policies/{policy['id']}").status_code == 404


@SQLITE
def test_an_environment_of_another_service_is_no_hindrance(client: TestClient) -> None:
    files = policy_files(environment_id="their.module:Their/Arm-v3", environment_kwargs={"a": [1]})
    policy = post(client, files).json()
    assert policy["name"] == "their-arm-v3-mrq"
    assert act_status(client, policy) == 200
    job = client.get(f"/jobs/{policy['job_id']}").json()
    assert (job["spec"]["environment"]["id"], job["estimate"]) == ("Their/Arm-v3", None)
    assert client.get(f"/ui/jobs/{job['id']}").status_code == 200
    clone = client.post(f"/jobs/{job['id']}/clone", json={})
    assert (clone.status_code, clone.json()["param"]) == (422, "environment.id")
    assert client.patch(f"/jobs/{job['id']}", json={"priority": 1}).status_code in (200, 422)


def act_status(client: TestClient, policy: Any) -> int:
    path: str = policy["links"]["act"]
    return client.post(path, json={"observation": [0.1, 0.2, 0.3]}).status_code


def test_the_same_policy_again_makes_nothing(client: TestClient, database: Database) -> None:
    """On both databases, whose JSON is not of the same order. And a change comes first."""
    files, other = policy_files(), policy_files(exploration_noise=0.1)
    first = post(client, files, name="swing")
    counts = row_counts(database)
    again = post(client, files, name="swing")
    assert (again.status_code, again.json()) == (200, first.json())
    assert "location" not in again.headers
    assert row_counts(database) == counts
    assert post(client, other, name="swing").json()["version"] == 2
    # Whoever imports it means that the name acts by it, and by now it does not.
    back = post(client, files, name="swing")
    assert (back.status_code, back.json()["version"]) == (201, 3)
    elsewhere = post(client, files, name="sway")
    assert (elsewhere.status_code, elsewhere.json()["version"]) == (201, 1)


@SQLITE
def test_the_next_action_is_the_new_versions(client: TestClient) -> None:
    post(client, policy_files(), name="swing")
    before = act(client, observations=GOLDEN.tolist())
    changed = linear_bundle(weights=np.ones((3, 2), np.float32))
    assert post(client, files_of(changed), name="swing").json()["version"] == 2
    assert act(client, observations=GOLDEN.tolist()) != before


@SQLITE
def test_a_model_that_did_not_come_is_not_told_of(client: TestClient) -> None:
    files = files_of(learned(CONTINUOUS).bundle)
    del files[MODEL]
    policy = post(client, files, name="swing").json()
    body = {"observation": [0.0, 0.0, 0.0], "return": ["q"]}
    answer = client.post(policy["links"]["act"], json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "return_unavailable")


@SQLITE
@pytest.mark.parametrize("at", ["_insert_checkpoint", "promote_in"])
def test_a_failure_on_the_way_leaves_nothing(
    client: TestClient,
    database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    at: str,
) -> None:
    def fail(*_: Any) -> Any:
        raise OperationalError("INSERT", {}, Exception("the database is gone"))

    monkeypatch.setattr("app.routes.policy_import.try_policy", lambda *_: None)
    with monkeypatch.context() as patched:
        patched.setattr(policy_import, at, fail)
        answer = post(client, policy_files())
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert_nothing_is_left(database, settings)
    assert post(client, policy_files()).json()["version"] == 1


@SQLITE
def test_a_server_that_is_killed_before_the_commit_leaves_nothing(
    database: Database, settings: Settings
) -> None:
    """With everything inserted, and the power gone."""
    code = (
        "import os; from store import policy_import as p; from store.database import Database;"
        "from tests.app.policy_importing import policy_files, GRAPH, MANIFEST;"
        "real = p.promote_in; p.promote_in = lambda *a: (real(*a), os._exit(9));"
        "f = policy_files(); parts = p.read_parts(f[MANIFEST], f[GRAPH], None, name='x', "
        f"sha256=None); p.import_policy(Database({settings.database_url!r}), parts)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == 9, done.stderr
    assert_nothing_is_left(database, settings)
    assert broken_invariants(database, settings) == []


@SQLITE
def test_many_that_import_at_once_get_versions_of_their_own(
    client: TestClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.routes.policy_import.try_policy", lambda *_: None)
    versions: list[int] = []

    def run(index: int) -> None:
        files = policy_files(exploration_noise=index / 10)
        versions.append(post(client, files, name="swing").json()["version"])

    threads = [threading.Thread(target=run, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(versions) == [1, 2, 3, 4]
