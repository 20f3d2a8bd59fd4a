"""Datasets: uploaded, checked, kept as they are, pinned by the jobs that train on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from mrq_core.csv_table import Limits, TableRefused, TooLarge
from mrq_core.logged.reading import ActionKind, read_log
from mrq_core.logged.report import report_on as report_on_log
from mrq_core.markets.lookahead import LooksAhead, refuse_leaks
from mrq_core.markets.report import report_on
from mrq_core.markets.series import read_series
from store.artifacts import hash_of
from store.clock import now_ms
from store.cursor import decode_cursor, encode_cursor
from store.database import Database
from store.dataset_files import DatasetDamaged, DatasetFiles, file_name
from store.errors import DatasetRefused, DatasetTooLarge, NotFound, Pinned
from store.ids import new_id, require_storable
from store.settings import Settings
from store.storage_faults import DATASET, storage_told
from store.tables import Dataset, DatasetName, Job, JobDataset
from store.versions import find_version, next_version

TIMESERIES, TRANSITIONS = "timeseries", "transitions"
SHOWN_JOBS = 20


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A file on this host's disk, as it came, and what was said of it. `actions`: of transitions;
    None: to be found out."""

    path: Path
    name: str
    role: str
    mapped: Mapping[str, str]
    dropped: Sequence[str]
    actions: ActionKind | None = None


def add_dataset(
    database: Database, files: DatasetFiles, settings: Settings, upload: Upload
) -> tuple[Dataset, bool]:
    """Checks the file, stores it, and then commits its row as the next version of its name.

    Returns the dataset and whether it is new: the same bytes with the same columns as the newest
    version of that name are that version.
    """
    described, report = _checked(settings, upload)
    sha256, size = hash_of(upload.path), upload.path.stat().st_size
    newest = _newest(database, upload.name)
    if newest is not None and (newest.sha256, newest.columns) == (sha256, described):
        _mend(files, newest, upload.path)
        return newest, False
    dataset_id = new_id("ds")
    name = file_name(sha256, dataset_id)
    with storage_told(DATASET):
        files.put(upload.path, name)
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


def _checked(settings: Settings, upload: Upload) -> tuple[dict[str, Any], dict[str, Any]]:
    """What its columns are, and the report."""
    limits = Limits(
        rows=settings.max_dataset_rows,
        columns=settings.max_dataset_columns,
        cells=settings.max_dataset_cells,
    )
    try:
        with upload.path.open("rb") as stream:
            return _read(stream, limits, upload)
    except TooLarge as error:
        raise DatasetTooLarge(str(error), param="body") from error
    except TableRefused as error:
        problems = [
            {"line": each.line, "column": each.column, "msg": each.text} for each in error.problems
        ]
        raise DatasetRefused(str(error), param="body", problems=problems) from error
    except LooksAhead as error:
        found = {"line": None, "column": error.found.column, "msg": str(error)}
        raise DatasetRefused(str(error), param="body", problems=[found]) from error


def _read(
    stream: IO[bytes], limits: Limits, upload: Upload
) -> tuple[dict[str, Any], dict[str, Any]]:
    if upload.role == TRANSITIONS:
        log = read_log(stream, limits, upload.mapped, upload.dropped, upload.actions)
        of_log = {"choices": log.columns.choices, "episodes": log.episodes}
        roles, features = log.columns.roles, log.columns.features
        return {"roles": dict(roles), "features": list(features), **of_log}, report_on_log(log)
    series = read_series(stream, limits, upload.mapped, upload.dropped)
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
