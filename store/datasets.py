"""Datasets: uploaded, checked, kept as they are, pinned by the jobs that train on them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from mrq_core.csv_table import Limits, TableRefused, TooLarge
from mrq_core.logged.reading import read_log
from mrq_core.logged.report import report_on as report_on_log
from mrq_core.markets.lookahead import LooksAhead, refuse_leaks
from mrq_core.markets.report import report_on
from mrq_core.markets.series import read_series
from store.artifacts import hash_of
from store.clock import now_ms
from store.cursor import decode_cursor, encode_cursor
from store.database import Database
from store.dataset_files import DatasetDamaged, DatasetFiles, file_name
from store.dataset_formats import CSV, Format
from store.errors import DatasetRefused, DatasetTooLarge, NotFound, Pinned
from store.ids import new_id, require_storable
from store.settings import Settings
from store.storage_faults import DATASET, storage_told
from store.tables import Dataset, DatasetName, Job, JobDataset
from store.unpacked import AsCsv, Upload, as_csv
from store.versions import find_version, next_version

TIMESERIES, TRANSITIONS = "timeseries", "transitions"
SHOWN_JOBS = 20


def add_dataset(
    database: Database, files: DatasetFiles, settings: Settings, upload: Upload
) -> tuple[Dataset, bool]:
    """Checks the file, stores it, and then commits its row as the next version of its name.

    Returns the dataset and whether it is new: the same bytes with the same columns as the newest
    version of that name are that version.
    """
    limits, reserve = _limits(settings), settings.disk_reserve_bytes
    with _told(upload.format), as_csv(upload, limits, reserve) as table:
        described, report = _read(table, limits, upload)
        return _added(database, files, upload, table.path, described, report)


def _added(
    database: Database,
    files: DatasetFiles,
    upload: Upload,
    path: Path,
    described: dict[str, Any],
    report: dict[str, Any],
) -> tuple[Dataset, bool]:
    sha256, size = hash_of(path), path.stat().st_size
    newest = _newest(database, upload.name)
    if newest is not None and (newest.sha256, newest.columns) == (sha256, described):
        _mend(files, newest, path)
        return newest, False
    dataset_id = new_id("ds")
    name = file_name(sha256, dataset_id)
    with storage_told(DATASET):
        files.put(path, name)
    committing = False
    try:
        with database.write() as session:
            dataset = Dataset(
                id=dataset_id,
                name=upload.name,
                version=next_version(session, DatasetName, upload.name),
                role=upload.role,
                sha256=sha256,
                size_bytes=size,
                row_count=report["rows"],
                columns=described,
                report=report,
                created_at=session.execute(select(now_ms())).scalar_one(),
            )
            session.add(dataset)
            session.flush()
            committing = True
    except BaseException:
        # Of a commit that failed nobody knows whether the row is there: what no row names is
        # garbage, and `mrq gc` finds it.
        if not committing:
            files.remove(name)
        raise
    return dataset, True


def _mend(files: DatasetFiles, dataset: Dataset, path: Path) -> None:
    """These are its bytes: should those that are kept be lost or damaged, here they are again."""
    name = file_name(dataset.sha256, dataset.id)
    try:
        files.check(name)
    except DatasetDamaged:
        with storage_told(DATASET):
            files.put(path, name)


def _limits(settings: Settings) -> Limits:
    return Limits(
        rows=settings.max_dataset_rows,
        columns=settings.max_dataset_columns,
        cells=settings.max_dataset_cells,
        unpacked_bytes=settings.max_dataset_unpacked_bytes,
    )


@contextmanager
def _told(kind: Format) -> Iterator[None]:
    """What is wrong with a table, in the service's words."""
    try:
        yield
    except TooLarge as error:
        raise DatasetTooLarge(str(error), param="body") from error
    except TableRefused as error:
        problems = [
            {"line": each.line, "column": each.column, "msg": each.text} for each in error.problems
        ]
        lines = any(each.line for each in error.problems) and kind != CSV
        hint = " Lines are those of the table as CSV: its first row is line 2." if lines else ""
        raise DatasetRefused(f"{error}{hint}", param="body", problems=problems) from error
    except LooksAhead as error:
        found = {"line": None, "column": error.found.column, "msg": str(error)}
        raise DatasetRefused(str(error), param="body", problems=[found]) from error


def _read(table: AsCsv, limits: Limits, upload: Upload) -> tuple[dict[str, Any], dict[str, Any]]:
    """What its columns are, and the report."""
    with table.path.open("rb") as stream:
        described, report = _read_as(upload, stream, limits, table.dropped)
    return described, report if table.source is None else {**report, "source": table.source}


def _read_as(
    upload: Upload, stream: IO[bytes], limits: Limits, dropped: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    if upload.role == TRANSITIONS:
        log = read_log(stream, limits, upload.mapped, dropped, upload.actions)
        of_log = {"choices": log.columns.choices, "episodes": log.episodes}
        roles, features = log.columns.roles, log.columns.features
        return {"roles": dict(roles), "features": list(features), **of_log}, report_on_log(log)
    series = read_series(stream, limits, upload.mapped, dropped)
    refuse_leaks(series)
    roles, features = series.columns.roles, series.columns.features
    return {"roles": dict(roles), "features": list(features)}, report_on(series)


def _newest(database: Database, name: str) -> Dataset | None:
    query = select(Dataset).where(Dataset.name == name).order_by(Dataset.version.desc()).limit(1)
    with database.read() as session:
        return session.scalars(query).one_or_none()


def find_dataset(session: Session, reference: str, *, with_report: bool = False) -> Dataset:
    """`ds_...`, `name` (its newest version) or `name:3`."""
    query = select(Dataset).options(undefer(Dataset.report)) if with_report else None
    return find_version(session, Dataset, reference, query)


def list_datasets(
    session: Session, *, name: str | None, limit: int, cursor: str | None
) -> tuple[Sequence[Dataset], str | None]:
    """Newest first: ids sort by creation. Returns the page and the cursor of the next one."""
    query = select(Dataset).order_by(Dataset.id.desc())
    if name is not None:
        require_storable("dataset", name)
        query = query.where(Dataset.name == name)
    if cursor is not None:
        query = query.where(Dataset.id < decode_cursor(cursor))
    rows = session.scalars(query.limit(limit + 1)).all()
    page = rows[:limit]
    return page, encode_cursor(page[-1].id) if len(rows) > limit else None


def jobs_that_pin(session: Session, dataset_id: str, limit: int = SHOWN_JOBS) -> Sequence[Job]:
    """Newest first; also deleted ones, until they are purged: those may be restored."""
    query = (
        select(Job)
        .join(JobDataset, JobDataset.job_number == Job.number)
        .where(JobDataset.dataset_id == dataset_id)
        .order_by(Job.number.desc())
        .limit(limit)
    )
    return session.scalars(query).all()


def delete_dataset(database: Database, files: DatasetFiles, reference: str) -> Dataset:
    """For good: first the row, then the file, so that no row ever names what is gone."""
    with database.write() as session:
        dataset = find_dataset(session, reference)
        locked = select(Dataset).where(Dataset.id == dataset.id).with_for_update()
        if session.scalars(locked).one_or_none() is None:  # deleted by another, just now
            raise NotFound("dataset", reference)
        if jobs := jobs_that_pin(session, dataset.id):
            ids = [job.id for job in jobs]
            raise Pinned(
                f"Dataset {dataset.name}:{dataset.version} is what {', '.join(ids)} "
                f"{'trains' if len(ids) == 1 else 'train'} on. Delete the jobs first; a deleted "
                "one lets go when it is purged (MRQ_DELETED_KEPT_SECONDS).",
                param="dataset_id",
                jobs=ids,
            )
        session.delete(dataset)
    files.remove(file_name(dataset.sha256, dataset.id))
    return dataset


def pin_dataset(session: Session, job_number: int, dataset_id: str) -> None:
    """`NotFound` if it was deleted meanwhile; from here on it cannot be."""
    query = select(Dataset.id).where(Dataset.id == dataset_id).with_for_update(read=True)
    if session.scalars(query).one_or_none() is None:
        raise NotFound("dataset", dataset_id)
    session.add(JobDataset(job_number=job_number, dataset_id=dataset_id))
    session.flush()
