"""What came of logged actions, and the datasets that are made of them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.concurrency import run_in_threadpool

from app.answers import Json
from app.body import JsonBody, parse, parse_object
from app.dataset_schemas import DatasetDetail
from app.dataset_views import dataset_detail
from app.deps import DatabaseDep, DatasetFilesDep, ReadSession, SettingsDep
from app.routes.datasets import DatasetName
from app.routes.policies import Reference
from store.action_log import (
    Feedback,
    Joined,
    count_actions,
    forget_actions,
    give_feedback,
    read_actions,
)
from store.action_table import write_table
from store.database import Database
from store.dataset_files import DatasetFiles
from store.datasets import TRANSITIONS, add_dataset, find_dataset
from store.errors import FeedbackRefused, InvalidInput, NotFound
from store.policies import find_policy
from store.settings import Settings
from store.storage_faults import DATASET, require_space_for, storage_told
from store.unpacked import PREFIX, Upload

router = APIRouter(prefix="/policies", tags=["policies"])

MAX_AT_ONCE = 1_000
MAX_EPISODE = 128
MAX_T = 2**53 - 1
# Of a row on the disk, for the space that is asked for; an observation has at most 200 numbers.
ROW_BYTES = 4_096


class GivenFeedback(BaseModel):
    """`action_id`, or `episode` and `t`, as the action was logged."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    action_id: str | None = Field(default=None, max_length=64)
    episode: str | None = Field(default=None, min_length=1, max_length=MAX_EPISODE)
    t: int | None = Field(default=None, ge=0, le=MAX_T)
    reward: float
    terminated: bool | None = Field(default=None, description="The task ended with this step.")
    truncated: bool | None = Field(default=None, description="The episode was cut off after it.")

    @model_validator(mode="after")
    def _names_one_action(self) -> Self:
        by_place = self.episode is not None and self.t is not None
        if (self.action_id is None) != by_place or (self.episode is None) != (self.t is None):
            raise ValueError("action_id: give it, or else both episode and t")
        return self

    def to_store(self) -> Feedback:
        return Feedback(**dict(self))


class FeedbackList(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    feedback: list[GivenFeedback] = Field(min_length=1, max_length=MAX_AT_ONCE)


class OfLog(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: DatasetName = Field(description="Of the dataset, whose next version it becomes.")


class FeedbackResults(BaseModel):
    """One of each for each in the list, in its order."""

    results: list[Literal["joined", "duplicate", "unknown", "conflict", "too_late"]]


class LogView(BaseModel):
    name: str = Field(description="Of the policy, all of its versions together.")
    actions: int
    joined: int = Field(description="How many of them have feedback.")
    reward_mean: float | None


@router.post("/{reference}/feedback", response_model=FeedbackResults)
def take_feedback(
    reference: Reference, body: JsonBody, database: DatabaseDep, settings: SettingsDep
) -> Json:
    """Of one action, or a list `feedback` of up to 1,000. Of one the answer is an error if it is
    not joined; of a list `results` say so for each. To say the same again changes nothing."""
    is_list = "feedback" in parse_object(body)
    given = parse(FeedbackList, body).feedback if is_list else [parse(GivenFeedback, body)]
    name = _name_of(database, reference)
    results = give_feedback(
        database, name, [each.to_store() for each in given], settings.feedback_seconds
    )
    if not is_list:
        _require_joined(results[0], given[0], settings.feedback_seconds)
    return Json({"results": results})


def _require_joined(result: Joined, given: GivenFeedback, window_seconds: float) -> None:
    place = given.action_id or f"{given.episode}, t={given.t}"
    match result:
        case "unknown":
            raise NotFound("action", place)
        case "conflict":
            text = f"Action {place} has other feedback already, and it stays."
            raise FeedbackRefused("feedback_conflict", text, param="reward")
        case "too_late":
            text = (
                f"Action {place} took its feedback for {window_seconds:g} seconds "
                "(MRQ_FEEDBACK_SECONDS), which are over."
            )
            raise FeedbackRefused("feedback_too_late", text, param="action_id")


@router.get("/{reference}/feedback", response_model=LogView)
def get_log(reference: Reference, session: ReadSession) -> Json:
    """How much is logged of a policy's name."""
    name = find_policy(session, reference).name
    return Json({"name": name, **vars(count_actions(session, name))})


@router.delete("/{reference}/feedback")
def forget_log(reference: Reference, database: DatabaseDep) -> dict[str, int]:
    """All that is logged of a policy's name, for good; datasets made of it stay."""
    return {"deleted": forget_actions(database, _name_of(database, reference))}


@router.post("/{reference}/feedback/dataset", status_code=201, response_model=DatasetDetail)
async def make_dataset(
    request: Request,
    reference: Reference,
    body: JsonBody,
    database: DatabaseDep,
    files: DatasetFilesDep,
    settings: SettingsDep,
) -> Json:
    """Of all actions of a policy's name that have feedback: a dataset of the role transitions."""
    asked = parse(OfLog, body)
    # As an upload, and in its queue: the table is checked in memory.
    async with request.app.state.checking:
        view, is_new = await run_in_threadpool(
            _make, database, files, settings, reference, asked.name
        )
    headers = {"Location": f"/datasets/{view['id']}"} if is_new else {}
    return Json(view, 201 if is_new else 200, headers)


def _make(
    database: Database, files: DatasetFiles, settings: Settings, reference: str, dataset_name: str
) -> tuple[DatasetDetail, bool]:
    folder = settings.data_dir / "uploads"
    with (
        storage_told(DATASET),
        _table_of(database, reference, folder, settings.disk_reserve_bytes) as path,
    ):
        upload = Upload(path=path, name=dataset_name, role=TRANSITIONS, mapped={}, dropped=[])
        dataset, is_new = add_dataset(database, files, settings, upload)
    with database.read() as session:
        found = find_dataset(session, dataset.id, with_report=True)
        return dataset_detail(session, found), is_new


@contextmanager
def _table_of(
    database: Database, reference: str, folder: Path, reserve_bytes: int
) -> Iterator[Path]:
    """In a file of `folder`, gone with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=PREFIX) as file:
        with database.read() as session:
            name = find_policy(session, reference).name
            counts = count_actions(session, name)
            if counts.joined == 0:
                text = f"name={name!r}: none of its {counts.actions} logged actions has feedback."
                raise InvalidInput(text, param="reference")
            require_space_for(DATASET, folder, counts.joined * ROW_BYTES, reserve_bytes)
            write_table(Path(file.name), read_actions(session, name))
        yield Path(file.name)


def _name_of(database: Database, reference: str) -> str:
    with database.read() as session:
        return find_policy(session, reference).name
