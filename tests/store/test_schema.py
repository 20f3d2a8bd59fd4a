import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, insert, inspect, select, text, update
from sqlalchemy.exc import DBAPIError

import migrations
from store import schema
from store.database import Database
from store.errors import SchemaTooNew, SetupError
from store.groups import jobs_of, submit_group
from store.ownership import Claim
from store.policies import promote_checkpoint
from store.settings import Settings
from store.tables import Checkpoint, Dataset, DatasetName, Job, JobDataset, Table
from tests.store.acting import change, evaluate, running, spec, submit

HEAD = "0009"
ROOT = Path(migrations.__file__).parent.parent


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Database]:
    database = Database(empty_database_url)
    yield database
    database.dispose()


def tables(database: Database) -> set[str]:
    with database.engine.connect() as connection:
        return set(inspect(connection).get_table_names())


def differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(
        connection,
        opts={
            "compare_type": True,
            "compare_server_default": True,
            # Reflection of SQLite loses its DESC and its WHERE; the next test looks at those.
            "include_name": lambda name, *_: name != "ix_jobs_claim",
            "include_object": lambda _, name, *__: name != "ix_jobs_claim",
        },
    )
    return list(compare_metadata(context, Table.metadata))


@pytest.mark.filterwarnings("ignore:autogenerate skipping.*ix_jobs_claim")
def test_the_migrations_make_what_the_models_say(database: Database) -> None:
    with database.engine.connect() as connection:
        assert differences(connection) == []


def test_the_index_for_claims_holds_the_queued_jobs_only(database: Database) -> None:
    catalogue = "SELECT sql FROM sqlite_master WHERE name = 'ix_jobs_claim'"
    if not database.is_sqlite:
        catalogue = "SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_jobs_claim'"
    with database.read() as session:
        definition = session.execute(text(catalogue)).scalar_one()
    assert "(priority DESC, number) WHERE" in definition
    assert "status = 'queued'" in definition


@pytest.mark.filterwarnings("ignore:autogenerate skipping.*ix_jobs_claim")
def test_the_comparison_sees_a_difference(database: Database) -> None:
    """`compare_metadata` is quiet about what it cannot compare, so show that it can."""
    with database.engine.connect() as connection:
        operations = Operations(MigrationContext.configure(connection))
        operations.drop_index("ix_policies_job_number", "policies")
        operations.drop_column("jobs", "weights_sha256")
        found = [difference[0] for difference in differences(connection)]
    assert sorted(found) == ["add_column", "add_index"]


def test_check_constraints_are_there(database: Database) -> None:
    """Autogenerate does not compare these."""
    job = submit(database)
    with pytest.raises(DBAPIError, match="ck_jobs_status"):
        change(database, job, status="done")
    claimed = Claim(job_number=job.number, job_id=job.id, epoch=1, spec={})
    with pytest.raises(DBAPIError, match="ck_checkpoints_kind"):
        add_checkpoint(database, claimed, kind="replay")


def add_checkpoint(database: Database, claimed: Claim, kind: str) -> None:
    row = {"id": "ckpt_1", "job_number": claimed.job_number, "attempt": 1, "step": 1, "kind": kind}
    more = {"size_bytes": 1, "sha256": "0", "format_version": 1, "manifest": {}, "created_at": 1}
    with database.write() as session:
        session.execute(insert(Checkpoint).values(**row, **more))


def test_up_and_down_and_up_again(empty: Database) -> None:
    schema.migrate(empty)
    made = tables(empty)
    assert {"jobs", "policies", "alembic_version"} < made
    command.downgrade(schema._config(empty), "base")
    assert tables(empty) == {"alembic_version"}
    schema.migrate(empty)
    assert tables(empty) == made
    schema.require_current_schema(empty)


JOBS_OF_THE_FIRST_RELEASE = """
INSERT INTO jobs (number, id, name, labels, environment_id, spec, spec_sha256, total_steps,
    priority, status, cancel_requested, epoch, lease_until, not_before, dispatched_at,
    attempts_since_progress, step, latest_metrics, created_at)
VALUES (:number, :id, 'a', '{}', 'Pendulum-v1', :spec, '0', 1000, 0,
    :status, :cancel, 1, 5, 0, 0, 1, 70, '{}', 1)
"""
ATTEMPT = """
INSERT INTO attempts (job_number, number, status, worker, host, start_step, started_at)
VALUES (1, 1, 'running', 'w1', 'host1', 0, 1)
"""


def _rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    with database.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_jobs_under_way_come_through_an_upgrade_and_back(empty: Database) -> None:
    config = schema._config(empty)
    command.upgrade(config, "0001")
    with empty.engine.begin() as connection:
        for number, (status, cancel) in enumerate(
            [("running", False), ("running", True), ("succeeded", False)], 1
        ):
            row = {"number": number, "id": f"job_{number}", "status": status, "cancel": cancel}
            row["spec"] = '{"budget": {"total_steps": 1000}, "seed": 4}'
            connection.execute(text(JOBS_OF_THE_FIRST_RELEASE), row)
        connection.execute(text(ATTEMPT))

    command.upgrade(config, "0002")
    query = "SELECT status, desired, epoch, lease_until, step FROM jobs ORDER BY number"
    assert _rows(empty, query) == [
        ("running", "run", 1, 5, 70),
        ("running", "cancel", 1, 5, 70),
        ("succeeded", "run", 1, 5, 70),
    ]
    assert _rows(empty, "SELECT worker, device, fidelity FROM attempts") == [("w1", None, None)]
    with empty.engine.begin() as connection:
        connection.execute(text("UPDATE jobs SET status = 'paused' WHERE number = 1"))
        connection.execute(text("UPDATE attempts SET status = 'paused'"))
        connection.execute(update(Job).values(spec=spec(seed=4).to_json()))

    command.downgrade(config, "0001")
    query = "SELECT status, cancel_requested, epoch, step FROM jobs ORDER BY number"
    assert _rows(empty, query) == [
        ("queued", False, 1, 70),  # which that release would else never look at again
        ("running", True, 1, 70),
        ("succeeded", False, 1, 70),
    ]
    assert _rows(empty, "SELECT status FROM attempts") == [("released",)]
    with empty.read() as session:  # as that release takes it
        kept = session.scalars(select(Job.spec)).first()
    assert kept is not None
    assert kept["budget"] == {"total_steps": 1000}
    assert {"early_stopping", "limits"} & kept.keys() == set()
    assert kept["seed"] == 4
    schema.migrate(empty)


def test_groups_come_with_an_upgrade_and_go_with_a_downgrade_that_keeps_the_jobs(
    empty: Database,
) -> None:
    config = schema._config(empty)
    schema.migrate(empty)
    own = {"ttl_seconds": 5.0}
    group, _ = submit_group(empty, "a", [spec(priority=3, checkpointing=own), spec(seed=1)])
    with empty.read() as session:
        assert [job.priority for job in jobs_of(session, group)] == [3, 0]

    command.downgrade(config, "0002")
    assert "job_groups" not in tables(empty)
    assert _rows(empty, "SELECT status, priority FROM jobs ORDER BY number") == [
        ("queued", 3),
        ("queued", 0),
    ]
    with empty.engine.connect() as connection:
        specs = connection.execute(select(Job.spec)).scalars().all()
    assert [kept["seed"] for kept in specs] == [0, 1]
    for kept in specs:  # what that release does not know is gone
        assert "priority" not in kept
        assert kept["checkpointing"].keys() == {"every_steps", "keep"}
    schema.migrate(empty)


PARTS_OF_0004 = {
    "environment": {
        *("id", "kwargs", "max_episode_steps", "action_repeat", "history", "limit_terminates"),
        "observation",
    },
    "algorithm": {"name", "preset", "hyperparameters"},
    "evaluation": {"every_steps", "episodes", "action_mode"},
}


def test_datasets_go_with_a_downgrade_that_keeps_the_jobs(empty: Database) -> None:
    config = schema._config(empty)
    schema.migrate(empty)
    submit(empty)
    with empty.write() as session:
        job = session.scalars(select(Job)).one()
        session.add(DatasetName(name="walk", version=1))
        dataset = Dataset(id="ds_1", name="walk", version=1, role="timeseries", sha256="0" * 64)
        dataset.size_bytes = dataset.row_count = dataset.created_at = 1
        dataset.columns, dataset.report = {}, {}
        session.add(dataset)
        session.flush()
        session.add(JobDataset(job_number=job.number, dataset_id="ds_1"))
    command.downgrade(config, "0004")
    assert {"datasets", "dataset_names", "job_datasets", "backtests"} & tables(empty) == set()
    with empty.engine.connect() as connection:
        (kept,) = connection.execute(select(Job.spec)).scalars().all()
    # Exactly what that release knows: it refuses a spec with anything else.
    assert {part: set(kept[part]) for part in PARTS_OF_0004} == PARTS_OF_0004
    schema.migrate(empty)


def test_the_mode_of_learning_goes_with_a_downgrade_but_not_from_a_job_on_a_log(
    empty: Database,
) -> None:
    config = schema._config(empty)
    schema.migrate(empty)
    submit(empty)
    submit(empty)
    with empty.write() as session:
        job = session.scalars(select(Job).order_by(Job.number.desc())).first()
        assert job is not None
        algorithm = job.spec["algorithm"] | {"mode": "offline", "offline": {"alpha": 2.5}}
        job.spec = job.spec | {"algorithm": algorithm}
    command.downgrade(config, "0005")
    with empty.engine.connect() as connection:
        first, second = connection.execute(select(Job.spec).order_by(Job.number)).scalars()
    assert {"mode", "offline"} & first["algorithm"].keys() == set()
    assert second["algorithm"]["mode"] == "offline"
    schema.migrate(empty)


def test_policies_keep_counting_after_an_upgrade(empty: Database, settings: Settings) -> None:
    config = schema._config(empty)
    schema.migrate(empty)
    checkpoint = evaluate(empty, running(empty, settings), 100, 1.0)
    for _ in range(3):
        promote_checkpoint(empty, checkpoint, "champion")
    command.downgrade(config, "0002")
    schema.migrate(empty)
    assert promote_checkpoint(empty, checkpoint, "champion").version == 4


def test_migrating_twice_changes_nothing(database: Database) -> None:
    before = tables(database)
    schema.migrate(database)
    assert tables(database) == before
    assert schema.current_revision(database) == HEAD


MIGRATE = """
import sys
from store.database import Database
from store.schema import migrate
database = Database(sys.argv[1])
print("ready", flush=True)
migrate(database)
"""


def test_two_processes_may_migrate_at_once(empty: Database) -> None:
    """As when several servers start together: the second finds the work done."""
    command_line = [sys.executable, "-c", MIGRATE, empty.url]
    with empty.engine.connect() as connection:  # nobody gets far before both have begun
        connection.execute(text("CREATE TABLE jobs (id INTEGER)"))
        started = [
            Popen(command_line, stdout=PIPE, stderr=STDOUT, text=True, cwd=ROOT) for _ in range(2)
        ]
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        time.sleep(1)
        connection.rollback()
    for process in started:
        output, _ = process.communicate()
        assert process.returncode == 0, output
    schema.require_current_schema(empty)


def test_a_newer_schema_is_refused_and_left_alone(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    before = tables(database)
    for check in (schema.migrate, schema.require_current_schema):
        with pytest.raises(SchemaTooNew, match=f"'9999'.*'{HEAD}'.*Nothing was changed"):
            check(database)
    assert schema.current_revision(database) == "9999"
    assert tables(database) == before


@pytest.mark.parametrize("empty_database_url", ["sqlite"], indirect=True)
def test_a_newer_releases_file_is_not_touched_at_all(empty: Database) -> None:
    file = Path(empty.url.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
        connection.commit()
    before = file.read_bytes()
    with pytest.raises(SchemaTooNew):
        schema.migrate(empty)
    assert file.read_bytes() == before, "our own connections would turn it to WAL"
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_processes_that_must_not_migrate_say_what_to_do(empty: Database) -> None:
    with pytest.raises(SetupError, match=f"schema None, this release needs '{HEAD}': run `mrq mig"):
        schema.require_current_schema(empty)
    assert tables(empty) == set()


def test_a_migration_that_fails_leaves_nothing(empty: Database) -> None:
    with empty.engine.begin() as connection:
        connection.execute(text("CREATE TABLE policies (id TEXT)"))  # made late by the migration
    with pytest.raises(DBAPIError, match="already exists"):
        schema.migrate(empty)
    assert tables(empty) == {"policies"}


def test_a_percent_sign_in_the_path_is_no_riddle(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(migrations, "__file__", str(tmp_path / "50%(here)s" / "__init__.py"))
    config = schema._config(database)
    assert config.get_main_option("script_location") == str(tmp_path / "50%(here)s")
