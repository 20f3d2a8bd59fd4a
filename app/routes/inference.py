"""What clients of the Open Inference Protocol ask before they ask for actions."""

import asyncio
from importlib.metadata import version as version_of
from typing import Annotated

from fastapi import APIRouter, Path

from app.answers import Json
from app.deps import DatabaseDep, PoliciesDep, ReadSession
from app.inference.infer import MODEL, VERSION, reference_of
from app.inference.tensors import action_form, mask_form, observation_forms
from app.inference.views import LiveView, ModelReadyView, ModelView, ReadyView, ServerView
from app.serving.policies import LivePolicy
from store.database import Database
from store.jobs import count_jobs_by_status
from store.policies import list_versions

# Triton's words for them.
EXTENSIONS = ["binary_tensor_data"]
PLATFORM = "onnxruntime_onnx"

router = APIRouter(tags=["inference protocol"])

Name = Annotated[
    str, Path(max_length=160, description="A policy's name: without a version, its newest one.")
]
Version = Annotated[str, Path(max_length=160, description="Such as `3`.")]


@router.get("/v2", response_model=ServerView)
async def get_server() -> Json:
    server: ServerView = {
        "name": "mrq-service",
        "version": version_of("mrq-service"),
        "extensions": EXTENSIONS,
    }
    return Json(server)


@router.get("/v2/health/live", response_model=LiveView)
async def is_live() -> Json:
    return Json({"live": True})


@router.get("/v2/health/ready", response_model=ReadyView)
def is_ready(session: ReadSession) -> Json:
    """503 while the database does not answer."""
    count_jobs_by_status(session)
    return Json({"ready": True})


@router.get(MODEL, response_model=ModelView)
async def get_model(name: Name, policies: PoliciesDep, database: DatabaseDep) -> Json:
    """Its tensors and its versions."""
    return Json(await _view(await policies.get(name), database))


@router.get(VERSION, response_model=ModelView)
async def get_model_version(
    name: Name, version: Version, policies: PoliciesDep, database: DatabaseDep
) -> Json:
    """Of a fixed version."""
    policy = await policies.get(reference_of(name, version))
    return Json(await _view(policy, database))


@router.get(f"{MODEL}/ready", response_model=ModelReadyView)
async def is_model_ready(name: Name, policies: PoliciesDep) -> Json:
    """Loads it, so that the first action does not wait for that."""
    return Json(_ready(await policies.get(name)))


@router.get(f"{VERSION}/ready", response_model=ModelReadyView)
async def is_model_version_ready(name: Name, version: Version, policies: PoliciesDep) -> Json:
    """Of a fixed version."""
    return Json(_ready(await policies.get(reference_of(name, version))))


def _ready(policy: LivePolicy) -> ModelReadyView:
    return {"name": policy.name, "ready": True}


async def _view(policy: LivePolicy, database: Database) -> ModelView:
    codec = policy.actor.codec
    mask = mask_form(codec)
    inputs = [*observation_forms(policy.actor.observation_space), *([mask] if mask else [])]
    return {
        "name": policy.name,
        "versions": await asyncio.to_thread(_versions, database, policy.name),
        "platform": PLATFORM,
        "inputs": [each.view() for each in inputs],
        "outputs": [action_form(codec).view()],
    }


def _versions(database: Database, name: str) -> list[str]:
    with database.read() as session:
        return [str(version) for version in list_versions(session, name)]
