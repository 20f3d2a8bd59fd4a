"""Datasets as the API shows them."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.dataset_schemas import DatasetColumns, DatasetDetail, DatasetView
from store.clock import to_rfc3339
from store.datasets import jobs_that_pin
from store.tables import Dataset, JobDataset


def dataset_views(session: Session, datasets: Sequence[Dataset]) -> list[DatasetView]:
    counts = _job_counts(session, [dataset.id for dataset in datasets])
    return [_view(dataset, counts.get(dataset.id, 0)) for dataset in datasets]


def dataset_detail(session: Session, dataset: Dataset) -> DatasetDetail:
    """Of one that was read with its report."""
    (view,) = dataset_views(session, [dataset])
    return {
        **view,
        "source": dataset.report.get("source"),
        "used_by": [job.id for job in jobs_that_pin(session, dataset.id)],
        "warnings": dataset.report["warnings"],
    }


def _job_counts(session: Session, dataset_ids: Sequence[str]) -> dict[str, int]:
    query = (
        select(JobDataset.dataset_id, func.count())
        .where(JobDataset.dataset_id.in_(dataset_ids))
        .group_by(JobDataset.dataset_id)
    )
    return dict(session.execute(query).all())


def _view(dataset: Dataset, job_count: int) -> DatasetView:
    path = f"/datasets/{dataset.id}"
    return {
        "id": dataset.id,
        "name": dataset.name,
        "version": dataset.version,
        "role": dataset.role,
        "sha256": dataset.sha256,
        "size_bytes": dataset.size_bytes,
        "rows": dataset.row_count,
        "columns": cast(DatasetColumns, dataset.columns),
        "job_count": job_count,
        "created_at": to_rfc3339(dataset.created_at),
        "links": {
            "self": path,
            "preview": f"{path}/preview",
            "validation": f"{path}/validation",
        },
    }
