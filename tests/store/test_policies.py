from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import pytest
from sqlalchemy import delete, select, update

from store.database import Database
from store.errors import DomainError, InvalidInput, NotFound
from store.ownership import Claim
from store.policies import (
    find_policy,
    list_checkpoints,
    list_policies,
    load_servable,
    promote_checkpoint,
    succeed,
)
from store.settings import Settings
from store.tables import Checkpoint, Job, Policy
from tests.store.acting import BUNDLE, checkpoint, evaluate, events, reload, running, save


def policies(database: Database) -> list[tuple[str, int]]:
    with database.read() as session:
        query = select(Policy.name, Policy.version).order_by(Policy.name, Policy.version)
        return [(name, version) for name, version in session.execute(query)]


# ---- the end of a job


def test_success_promotes_the_best_under_the_jobs_name(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings, name="pend")
    best = evaluate(database, claimed, 500, 7.0)
    evaluate(database, claimed, 1000, 3.0)
    succeed(database, claimed, weights_sha256="f" * 64)
    job = reload(database, claimed)
    assert (job.status, job.reason, job.step) == ("succeeded", "budget_exhausted", 1000)
    assert job.weights_sha256 == "f" * 64
    assert job.finished_at is not None
    with database.read() as session:
        policy = find_policy(session, "pend")
    assert (policy.version, policy.checkpoint_id, policy.job_number) == (1, best, job.number)
    kinds = [kind for _, kind, _ in events(database, job)]
    assert kinds[-2:] == ["policy", "status"]


def test_success_without_an_evaluation_has_no_policy(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings)
    succeed(database, claimed, weights_sha256=None)
    assert reload(database, claimed).status == "succeeded"
    assert policies(database) == []


def test_two_jobs_of_one_name_are_two_versions(database: Database, settings: Settings) -> None:
    for _ in range(2):
        claimed = running(database, settings, name="pend")
        evaluate(database, claimed, 500, 7.0)
        succeed(database, claimed, weights_sha256=None)
    assert policies(database) == [("pend", 1), ("pend", 2)]


# ---- promoting


def test_a_checkpoint_may_get_several_names(database: Database, settings: Settings) -> None:
    claimed = running(database, settings, name="pend")
    identity = evaluate(database, claimed, 100, 1.0)
    made = [promote_checkpoint(database, identity, name) for name in (None, "other", "other")]
    assert [(p.name, p.version) for p in made] == [("pend", 1), ("other", 1), ("other", 2)]
    data = {
        "policy_id": made[2].id,
        "name": "other",
        "version": 2,
        "checkpoint_id": identity,
    }
    assert events(database, claimed)[-1][1:] == ("policy", data)


def test_only_policy_checkpoints_that_are_there(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    save(database, claimed, 100)
    training = checkpoint(database, claimed, 100).id
    before = events(database, claimed)
    cases: list[tuple[str, type[DomainError]]] = [
        (training, InvalidInput),
        ("ckpt_0", NotFound),
        ("ckpt_\x00", NotFound),
    ]
    for identity, error in cases:
        with pytest.raises(error) as refusal:
            promote_checkpoint(database, identity, "mine")
        assert refusal.value.param == "checkpoint_id"
    assert policies(database) == []
    assert events(database, claimed) == before


def test_promotions_at_once_draw_different_versions(database: Database, settings: Settings) -> None:
    """Of two jobs, so that it is not the lock of one job's row that keeps them apart."""
    identities = []
    for _ in range(2):
        claimed = running(database, settings)
        identities.append(evaluate(database, claimed, 100, 1.0))
    with ThreadPoolExecutor(8) as pool:
        made = list(
            pool.map(lambda n: promote_checkpoint(database, identities[n % 2], "x"), range(16))
        )
    assert sorted(policy.version for policy in made) == list(range(1, 17))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_checkpoint_that_goes_at_that_moment_is_not_found(
    database: Database, settings: Settings
) -> None:
    """A training job prunes old checkpoints; the promotion waits for it, and then looks."""
    claimed = running(database, settings)
    identity = evaluate(database, claimed, 100, 1.0)
    outcome: list[object] = []

    def promote() -> None:
        try:
            outcome.append(promote_checkpoint(database, identity, "mine"))
        except NotFound as error:
            outcome.append(error.code)

    thread = Thread(target=promote)
    with database.write() as session:
        session.execute(update(Job).values(step=1))
        thread.start()
        thread.join(0.5)
        session.execute(delete(Checkpoint).where(Checkpoint.id == identity))
    thread.join()
    assert outcome == ["checkpoint_not_found"]


# ---- finding


def three_versions(database: Database, settings: Settings) -> list[Policy]:
    claimed = running(database, settings)
    identity = evaluate(database, claimed, 100, 1.0)
    return [promote_checkpoint(database, identity, "p.1-a") for _ in range(3)]


def test_references(database: Database, settings: Settings) -> None:
    made = three_versions(database, settings)
    with database.read() as session:
        found = [
            find_policy(session, reference).version
            for reference in ("p.1-a", "p.1-a:1", "p.1-a:2", made[2].id)
        ]
        assert found == [3, 1, 2, 3]
        wrong = [
            "p.1-a:4",
            "p.1-a:0",
            "p.1-a:-1",
            "p.1-a:x",
            "p.1-a:",
            "p.1",
            "pol_0",
            "",
            ":",
            ":1",
        ]
        wrong += ["p.1-a:99999999999999999999", "\x00", "pol_\x00", "p.1-a:1\x00", "P.1-A"]
        for reference in wrong:
            with pytest.raises(NotFound) as refusal:
                find_policy(session, reference)
            assert refusal.value.code == "policy_not_found"


def test_what_a_server_needs(database: Database, settings: Settings) -> None:
    policy = three_versions(database, settings)[1]
    with database.read() as session:
        servable = load_servable(session, find_policy(session, policy.id))
    assert (servable.name, servable.version, servable.id) == ("p.1-a", 2, policy.id)
    assert (servable.onnx, servable.manifest) == (BUNDLE.onnx, BUNDLE.manifest)
    assert servable.checkpoint_id == policy.checkpoint_id


def test_the_list_is_newest_first_and_new_ones_shift_nothing(
    database: Database, settings: Settings
) -> None:
    made = sorted((p.id for p in three_versions(database, settings)), reverse=True)
    with database.read() as session:
        first, cursor = list_policies(session, limit=2)
    newer = promote_checkpoint(database, first[0].checkpoint_id, "newer")
    with database.read() as session:
        second, end = list_policies(session, limit=2, cursor=cursor)
        everything, _ = list_policies(session)
        of_job, _ = list_policies(session, job_number=newer.job_number)
        of_none, _ = list_policies(session, job_number=999)
    assert [[p.id for p in page] for page in (first, second)] == [made[:2], made[2:]]
    assert end is None
    assert newer.id in [p.id for p in everything]
    assert (len(of_job), len(of_none)) == (4, 0)


def test_a_cursor_that_is_none_is_refused(database: Database) -> None:
    with database.read() as session:
        for cursor in ("", "!!", "bgA", "x" * 500):  # bgA: n and NUL
            with pytest.raises(InvalidInput, match="is no cursor"):
                list_policies(session, cursor=cursor)


def test_checkpoints_are_listed_newest_first_without_bytes(
    database: Database, settings: Settings
) -> None:
    claimed: Claim = running(database, settings)
    evaluate(database, claimed, 100, 1.0)
    save(database, claimed, 100)
    evaluate(database, claimed, 200, 1.0)
    with database.read() as session:
        found = list_checkpoints(session, claimed.job_number)
        assert [(c.step, c.kind) for c in found] == [
            (200, "policy"),
            (100, "policy"),
            (100, "training"),
        ]
        assert all("onnx" not in vars(c) for c in found)
        assert len(list_checkpoints(session, claimed.job_number, limit=1)) == 1
