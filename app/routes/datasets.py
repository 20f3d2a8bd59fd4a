"""Upload, look at, delete. What is taken is never changed."""

import io
from contextlib import suppress
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from app.answers import Json, page
from app.dataset_schemas import DatasetDetail, DatasetView, PreviewView, ValidationView
from app.dataset_views import dataset_detail, dataset_views
from app.deps import DatabaseDep, DatasetFilesDep, ReadSession, SettingsDep
from app.schemas import Page
from app.uploads import format_of, received
from mrq_core.csv_table import MAX_LINE_BYTES, CsvTable, Limits, TableRefused
from mrq_core.logged.reading import ActionKind
from store.database import Database
from store.dataset_fact import Role
from store.dataset_files import file_name
from store.dataset_formats import require_taken
from store.datasets import add_dataset, delete_dataset, find_dataset, list_datasets
from store.errors import InvalidInput
from store.spec import Name
from store.tables import Dataset
from store.unpacked import Upload

PATH = "/datasets"
router = APIRouter(prefix=PATH, tags=["datasets"])

Reference = Annotated[str, Path(max_length=160, description="`ds_...`, `name` or `name:3`.")]
MAX_PREVIEW = 100
ColumnName = Annotated[str, Field(max_length=128)]


def _no_dataset_id(value: str) -> str:
    if value.startswith("ds_"):
        raise ValueError(f"{value!r} must not begin with ds_: ids begin so")
    return value


DatasetName = Annotated[Name, AfterValidator(_no_dataset_id)]


class UploadQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: DatasetName
    role: Role = "timeseries"
    actions: ActionKind | None = Field(
        default=None,
        description="Of transitions. Left out: discrete if one column of whole numbers has them.",
    )
    map: list[ColumnName] = Field(
        default_factory=list,
        max_length=16,
        description="`ROLE:COLUMN`, where a column is not called as its role.",
    )
    drop: list[ColumnName] = Field(
        default_factory=list, max_length=256, description="Columns that are not to be used."
    )

    def mapped(self) -> dict[str, str]:
        return dict(_pair(each) for each in self.map)


def _pair(text: str) -> tuple[str, str]:
    role, colon, column = text.partition(":")
    if not (role and colon and column):
        raise InvalidInput(f"map={text!r} must be ROLE:COLUMN, as in close:Last.", param="map")
    return role, column


class DatasetQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(default=None, max_length=128)
    limit: int = Field(default=20, ge=1, le=100)
    after: str | None = Field(default=None, max_length=64)


@router.post(
    "",
    status_code=201,
    response_model=DatasetDetail,
    responses={
        200: {"model": DatasetDetail, "description": "The newest version is this very one."}
    },
)
async def upload_dataset(
    request: Request,
    query: Annotated[UploadQuery, Query()],
    database: DatabaseDep,
    files: DatasetFilesDep,
    settings: SettingsDep,
) -> Json:
    """The body is the file. It is checked before it is stored, and refused as a whole."""
    kind = format_of(request.headers)
    require_taken(kind, query.role)
    mapped = query.mapped()
    async with received(
        request, settings.data_dir / "uploads", settings.disk_reserve_bytes
    ) as path:
        upload = Upload(
            path=path,
            name=query.name,
            role=query.role,
            mapped=mapped,
            dropped=query.drop,
            actions=query.actions,
            format=kind,
        )
        async with request.app.state.checking:
            dataset, is_new = await run_in_threadpool(
                add_dataset, database, files, settings, upload
            )
    view = await run_in_threadpool(_detail, database, dataset.id)
    headers = {"Location": f"/datasets/{dataset.id}"} if is_new else {}
    return Json(view, 201 if is_new else 200, headers)


def _detail(database: Database, dataset_id: str) -> DatasetDetail:
    with database.read() as session:
        return dataset_detail(session, find_dataset(session, dataset_id, with_report=True))


@router.get("", response_model=Page[DatasetView])
def get_datasets(query: Annotated[DatasetQuery, Query()], session: ReadSession) -> Json:
    rows, cursor = list_datasets(session, name=query.name, limit=query.limit, cursor=query.after)
    return Json(page(dataset_views(session, rows), cursor))


@router.get("/{reference}", response_model=DatasetDetail)
def get_dataset(reference: Reference, session: ReadSession) -> Json:
    return Json(dataset_detail(session, find_dataset(session, reference, with_report=True)))


@router.get("/{reference}/validation", response_model=ValidationView)
def get_validation(reference: Reference, session: ReadSession) -> Json:
    """What was found when it came, with statistics and a histogram of each column."""
    return Json(find_dataset(session, reference, with_report=True).report)


@router.get("/{reference}/preview", response_model=PreviewView)
def get_preview(
    reference: Reference,
    session: ReadSession,
    files: DatasetFilesDep,
    limit: Annotated[int, Query(ge=1, le=MAX_PREVIEW)] = 20,
) -> Json:
    dataset = find_dataset(session, reference)
    table = _head(dataset, files, limit)
    rows: list[list[str]] = []
    with suppress(TableRefused):  # the last line that was read may be cut off
        rows.extend(list(cells) for _, cells in islice(table.rows(), limit))
    return Json({"columns": list(table.names), "rows": rows})


def _head(dataset: Dataset, files: DatasetFilesDep, rows: int) -> CsvTable:
    """As many bytes as so many lines can have, and the header."""
    most = min(dataset.size_bytes, (rows + 1) * MAX_LINE_BYTES)
    content = b"".join(files.read(file_name(dataset.sha256, dataset.id), 0, most))
    return CsvTable(io.BytesIO(content), Limits(columns=1 << 20, cells=1 << 40))


@router.delete("/{reference}", status_code=204, response_class=Response)
def remove_dataset(reference: Reference, database: DatabaseDep, files: DatasetFilesDep) -> None:
    """For good, unless a job pins it. Of a name, its newest version."""
    delete_dataset(database, files, reference)
