import hashlib
import math
from dataclasses import replace

import pytest
from sqlalchemy import delete, event, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import undefer

from store.checkpoint_files import training_names
from store.database import Database
from store.lifecycle import cancel_job
from store.ownership import Claim, Wish, start_from
from store.policies import promote_checkpoint
from store.results import MetricRow, record_progress, record_training_checkpoint
from store.settings import Settings
from store.states import Desired
from store.tables import Checkpoint, Evaluation, MetricKey, MetricPoint
from tests.store.acting import (
    BUNDLE,
    checkpoint,
    claim,
    evaluate,
    events,
    progress,
    release,
    reload,
    running,
    save,
)
from tests.store.acting import stored as stored_folder


def policy_steps(database: Database, claimed: Claim) -> list[int]:
    query = (
        select(Checkpoint.step)
        .where(Checkpoint.job_number == claimed.job_number, Checkpoint.kind == "policy")
        .order_by(Checkpoint.attempt, Checkpoint.step)
    )
    with database.read() as session:
        return list(session.scalars(query))


# ---- progress


def test_progress_is_the_jobs_and_its_points(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    rows = [
        MetricRow(step=10, values={"loss": 2.0, "return": -7.0}),
        MetricRow(step=20, values={"loss": 1.0, "q": math.nan}),
    ]
    wish = record_progress(database, claimed, step=20, steps_per_second=50.5, rows=rows)
    job = reload(database, claimed)
    assert wish == Wish()
    assert (job.step, job.steps_per_second) == (20, 50.5)
    assert job.progress_at is not None
    assert job.latest_metrics == {"step": 20, "loss": 1.0, "return": -7.0}
    with database.read() as session:
        query = select(
            MetricKey.name,
            MetricPoint.step,
            MetricPoint.attempt,
            MetricPoint.value,
            MetricPoint.flag,
        ).join(MetricKey, MetricKey.id == MetricPoint.key_id)
        assert sorted(tuple(row) for row in session.execute(query)) == [
            ("loss", 10, 1, 2.0, 0),
            ("loss", 20, 1, 1.0, 0),
            ("q", 20, 1, None, 1),
            ("return", 10, 1, -7.0, 0),
        ]


def test_a_metric_without_news_keeps_its_last_value(database: Database, settings: Settings) -> None:
    """Rows name only what has data: an episode does not end in every interval."""
    claimed = running(database, settings)
    progress(database, claimed, 10, loss=2.0, ret=-7.0)
    progress(database, claimed, 20, loss=1.0)
    assert reload(database, claimed).latest_metrics == {"step": 20, "loss": 1.0, "ret": -7.0}


def test_progress_without_rows_keeps_pace_and_metrics(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings)
    rows = [MetricRow(step=10, values={"loss": 2.0})]
    record_progress(database, claimed, step=10, steps_per_second=5.0, rows=rows)
    record_progress(database, claimed, step=20, steps_per_second=None, rows=[])
    job = reload(database, claimed)
    assert (job.step, job.steps_per_second) == (20, 5.0)
    assert job.latest_metrics == {"step": 10, "loss": 2.0}


def test_the_same_progress_twice_is_once(database: Database, settings: Settings) -> None:
    """As after a commit whose answer was lost."""
    claimed = running(database, settings)
    for _ in range(2):
        progress(database, claimed, 10, loss=2.0)
    with database.read() as session:
        assert session.execute(select(func.count()).select_from(MetricPoint)).scalar_one() == 1


def test_progress_tells_of_a_cancel(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    cancel_job(database, claimed.job_id)
    assert progress(database, claimed, 10) == Wish(desired=Desired.CANCEL, grace_seconds=60)


def test_a_start_elsewhere_forgets_the_pace(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    record_progress(database, claimed, step=10, steps_per_second=5.0, rows=[])
    start_from(database, claimed, None)
    job = reload(database, claimed)
    assert (job.step, job.steps_per_second) == (0, None)


# ---- evaluations and policy checkpoints


def test_an_evaluation_comes_with_its_policy(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    identity = evaluate(database, claimed, 100, 1.0, 2.0, 6.0)
    with database.read() as session:
        found = session.scalars(select(Evaluation)).one()
        stored = session.get_one(Checkpoint, identity, options=[undefer(Checkpoint.onnx)])
    assert (found.return_mean, found.returns, found.checkpoint_id) == (3.0, [1, 2, 6], identity)
    assert (found.step, found.attempt, found.lengths, found.seeds) == (
        100,
        1,
        [200, 200, 200],
        [0, 1, 2],
    )
    assert (stored.kind, stored.onnx, stored.manifest) == ("policy", BUNDLE.onnx, BUNDLE.manifest)
    assert stored.sha256 == hashlib.sha256(b"onnx bytes").hexdigest()
    assert stored.size_bytes == 10
    job = reload(database, claimed)
    assert (job.step, job.best_checkpoint_id, job.best_return) == (100, identity, 3.0)
    data = {
        "step": 100,
        "return_mean": 3.0,
        "episodes": 3,
        "checkpoint_id": identity,
        "best": True,
    }
    assert events(database, claimed)[-1][1:] == ("evaluation", data)


def test_the_best_has_the_highest_mean_and_of_equals_the_later_wins(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings)
    best = []
    for step, value in ((100, -5.0), (200, -3.0), (300, -4.0), (400, -3.0), (500, -9.0)):
        evaluate(database, claimed, step, value)
        best.append(reload(database, claimed).best_return)
    assert best == [-5, -3, -3, -3, -3]
    with database.read() as session:
        query = select(Checkpoint.step).where(
            Checkpoint.id == reload(database, claimed).best_checkpoint_id
        )
        assert session.execute(query).scalar_one() == 400
    flags = [data["best"] for _, kind, data in events(database, claimed) if kind == "evaluation"]
    assert flags == [True, True, False, True, False]


def test_kept_are_the_best_the_latest_and_the_promoted(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings)
    evaluate(database, claimed, 100, 9.0)
    promoted = evaluate(database, claimed, 200, 1.0)
    promote_checkpoint(database, promoted, "mine")
    for step in (300, 400, 500, 600):
        evaluate(database, claimed, step, 2.0)
    assert policy_steps(database, claimed) == [100, 200, 500, 600]
    with database.read() as session:
        query = select(Evaluation.step).where(Evaluation.checkpoint_id.is_(None))
        assert sorted(session.scalars(query)) == [300, 400], "the numbers stay, the bytes go"


def test_other_jobs_policies_stay(database: Database, settings: Settings) -> None:
    first = running(database, settings)
    evaluate(database, first, 100, 1.0)
    evaluate(database, first, 200, 2.0)
    second = running(database, settings)
    for step in range(1, 5):
        evaluate(database, second, step, 1.0, keep=1)
    assert policy_steps(database, first) == [100, 200]


def test_a_superseded_evaluation_is_no_longer_the_best(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings)
    save(database, claimed, 100)
    evaluate(database, claimed, 200, 99.0)
    release(database, claimed)
    second = claim(database, settings)
    start_from(database, second, checkpoint(database, second, 100))
    identity = evaluate(database, second, 200, 1.0)
    job = reload(database, second)
    assert (job.best_checkpoint_id, job.best_return) == (identity, 1.0)


def test_half_an_evaluation_is_none(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    evaluate(database, claimed, 100, 1.0)
    before = events(database, claimed)
    with pytest.raises(IntegrityError):
        evaluate(database, claimed, 100, 5.0)
    assert policy_steps(database, claimed) == [100]
    assert reload(database, claimed).best_return == 1.0
    assert events(database, claimed) == before


def test_a_pinned_checkpoint_cannot_be_deleted(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    identity = evaluate(database, claimed, 100, 1.0)
    promote_checkpoint(database, identity, "mine")
    with pytest.raises(IntegrityError), database.write() as session:
        session.execute(delete(Checkpoint).where(Checkpoint.id == identity))
    assert policy_steps(database, claimed) == [100]


def test_the_300th_evaluation_asks_no_more_than_the_first(
    database: Database, settings: Settings
) -> None:
    """Counted in statements and rows, not in seconds."""
    claimed = running(database, settings)
    rows: list[int] = []
    fill(database, claimed, 300)

    def count(*_: object) -> None:
        rows[-1] += 1

    event.listen(database.engine, "before_cursor_execute", count)
    loaded: list[object] = []

    def load(target: object, _: object) -> None:
        loaded.append(target)

    event.listen(Evaluation, "load", load)
    for step in (301, 302, 303):
        rows.append(0)
        evaluate(database, claimed, step, 1.0)
    event.remove(database.engine, "before_cursor_execute", count)
    event.remove(Evaluation, "load", load)
    assert max(rows) <= 16
    assert loaded == [], "300 rows with the returns of every episode"
    assert policy_steps(database, claimed) == [302, 303]


def fill(database: Database, claimed: Claim, count: int) -> None:
    rows = [
        {
            "id": f"eval_{step}",
            "job_number": claimed.job_number,
            "attempt": 1,
            "step": step,
            "action_mode": "deterministic",
            "return_mean": 0.0,
            "returns": [0.0] * 10,
            "lengths": [1] * 10,
            "seeds": [1] * 10,
            "created_at": 0,
        }
        for step in range(1, count + 1)
    ]
    with database.write() as session:
        session.execute(insert(Evaluation), rows)


def test_deleting_a_checkpoint_reads_indexes_only(database: Database, settings: Settings) -> None:
    """For its two foreign keys; else each evaluation would read those of all jobs."""
    queries = {
        "UPDATE evaluations SET checkpoint_id = NULL WHERE checkpoint_id = 'x'": (
            "ix_evaluations_checkpoint_id"
        ),
        "SELECT 1 FROM policies WHERE checkpoint_id = 'x'": "ix_policies_checkpoint_id",
        "SELECT * FROM policies WHERE job_number = 7": "ix_policies_job_number",
    }
    prefix = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
    with database.write() as session:
        connection = session.connection()
        if not database.is_sqlite:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        for query, index in queries.items():
            assert index in str(connection.exec_driver_sql(prefix + query).all())


# ---- training checkpoints


def test_a_training_checkpoint_is_the_jobs_place_to_resume(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings)
    assert save(database, claimed, 100) == []
    stored = checkpoint(database, claimed, 100)
    job = reload(database, claimed)
    assert (job.resume_checkpoint_id, job.attempts_since_progress) == (stored.id, 0)
    assert stored.folder == f"{claimed.job_id}/1-100"
    assert stored.manifest == {
        "files": {"weights.safetensors": "1" * 64},
        "sizes": {"weights.safetensors": 3},
        "epochs": {},
    }
    assert events(database, claimed)[-1][1] == "checkpoint"


@pytest.mark.parametrize(("keep", "left"), [(1, [300, 400]), (2, [300, 400]), (3, [200, 300, 400])])
def test_two_are_kept_at_least(
    database: Database, settings: Settings, keep: int, left: list[int]
) -> None:
    claimed = running(database, settings)
    unnamed = [
        folder for step in (100, 200, 300, 400) for folder in save(database, claimed, step, keep)
    ]
    dropped = [step for step in (100, 200, 300, 400) if step not in left]
    assert unnamed == [f"{claimed.job_id}/1-{step}" for step in dropped]
    with database.read() as session:
        assert training_names(session, claimed.job_number) == {
            f"{claimed.job_id}/1-{step}" for step in left
        }


def test_what_a_kept_checkpoint_shares_is_still_named(
    database: Database, settings: Settings
) -> None:
    """In an object store; the folders of a host are each for themselves."""
    claimed = running(database, settings)
    unnamed = []
    for step, head in ((100, "a"), (200, "b"), (300, "c")):
        files = {"sealed": "0" * 64, "head": head * 64}
        made = replace(stored_folder(claimed, step), files=files, epochs=dict.fromkeys(files, 1))
        unnamed += record_training_checkpoint(database, claimed, step, made, keep=2)
    assert unnamed == [f"{claimed.job_id}/1-100", f"{claimed.job_id}/files/1-{'a' * 64}"]
    with database.read() as session:
        named = training_names(session, claimed.job_number)
    assert f"{claimed.job_id}/files/1-{'0' * 64}" in named


def test_a_checkpoint_that_took_long_to_store_does_not_set_the_job_back(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings)
    record_progress(database, claimed, step=300, steps_per_second=None, rows=[])
    save(database, claimed, 200)
    assert reload(database, claimed).step == 300
    save(database, claimed, 400)
    assert reload(database, claimed).step == 400


def test_the_newest_epoch_is_the_latest_even_at_a_lower_step(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings)
    for step in (100, 200):
        save(database, claimed, step)
    release(database, claimed)
    second = claim(database, settings)
    start_from(database, second, checkpoint(database, second, 100))
    save(database, second, 150)
    with database.read() as session:
        assert training_names(session, second.job_number) == {
            f"{claimed.job_id}/1-100",
            f"{claimed.job_id}/2-150",
        }


def test_policies_do_not_count_as_training_checkpoints(
    database: Database, settings: Settings
) -> None:
    claimed = running(database, settings)
    for step in (100, 200, 300):
        evaluate(database, claimed, step, 1.0, keep=1)
        save(database, claimed, step, keep=1)
    with database.read() as session:
        assert len(training_names(session, claimed.job_number)) == 2
    assert policy_steps(database, claimed) == [300]


def test_a_foreign_key_holds_results_to_their_job(database: Database, settings: Settings) -> None:
    claimed = running(database, settings)
    progress(database, claimed, 1, loss=1.0)
    with pytest.raises(IntegrityError), database.write() as session:
        session.execute(update(MetricPoint).values(job_number=999))
