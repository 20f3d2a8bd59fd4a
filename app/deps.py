"""What a handler may ask for. `Database` sessions are opened by the handlers, in sight."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Path, Request
from sqlalchemy.orm import Session

from app.serving.open_streams import OpenStreams
from app.serving.policies import LoadedPolicies
from app.serving.sessions import Sessions
from store.database import Database
from store.dataset_files import DatasetFiles
from store.jobs import get_job
from store.settings import Settings
from store.storage import Artifacts
from store.tables import Job

# Those that only hand something out are coroutines: FastAPI sends every other function to a thread.


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


async def _policies(request: Request) -> LoadedPolicies:
    policies: LoadedPolicies = request.app.state.policies
    return policies


async def _sessions(request: Request) -> Sessions:
    sessions: Sessions = request.app.state.sessions
    return sessions


async def _streams(request: Request) -> OpenStreams:
    streams: OpenStreams = request.app.state.streams
    return streams


async def _artifacts(request: Request) -> Artifacts:
    artifacts: Artifacts = request.app.state.artifacts
    return artifacts


async def _dataset_files(request: Request) -> DatasetFiles:
    files: DatasetFiles = request.app.state.dataset_files
    return files


SettingsDep = Annotated[Settings, Depends(_settings)]
DatabaseDep = Annotated[Database, Depends(_database)]
PoliciesDep = Annotated[LoadedPolicies, Depends(_policies)]
SessionsDep = Annotated[Sessions, Depends(_sessions)]
StreamsDep = Annotated[OpenStreams, Depends(_streams)]
DatasetFilesDep = Annotated[DatasetFiles, Depends(_dataset_files)]
ArtifactsDep = Annotated[Artifacts, Depends(_artifacts)]


def _read_session(database: DatabaseDep) -> Iterator[Session]:
    """For reading only: nothing that a handler adds is ever committed."""
    with database.read() as session:
        yield session


ReadSession = Annotated[Session, Depends(_read_session, scope="function")]


def _job(session: ReadSession, job_id: Annotated[str, Path(max_length=128)]) -> Job:
    return get_job(session, job_id)


JobDep = Annotated[Job, Depends(_job)]
