"""The server, put together. `uvicorn --factory app.main:build` or `create_app(settings)`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app import errors
from app.auth import Authentication
from app.body_limit import BodyLimit
from app.closing import set_on_exit_signal
from app.context import RequestContext
from app.inference.infer import Infer, infer_routes
from app.limits import array_limit, body_limits, usual_limit
from app.pages import backtest_routes as backtest_pages
from app.pages import group_routes as group_pages
from app.pages import routes as pages
from app.pages.errors import error_page
from app.routes import (
    aliases,
    backtests,
    batch,
    compare,
    datasets,
    environments,
    events,
    feedback,
    files,
    groups,
    health,
    imagine,
    imports,
    inference,
    jobs,
    lifecycle,
    metrics,
    policies,
    policy_import,
    results,
    session,
    sessions,
    traffic,
)
from app.service import Service
from app.serving.act import Act, act_route
from app.serving.action_log import ActionLog
from app.serving.door import ActDoor
from app.serving.feedback_log import FeedbackLog
from app.serving.open_streams import OpenStreams
from app.serving.policies import LoadedPolicies
from app.serving.quick import QuickAct
from app.serving.sessions import Sessions
from app.serving.stream import stream_route
from store.catalogue import use_own_environments
from store.database import Database
from store.dataset_files import open_dataset_files
from store.keys import make_api_key
from store.schema import require_current_schema
from store.settings import Settings
from store.storage import open_artifacts

# Uploads that are checked at once: each may hold a file's worth of numbers.
MAX_CHECKS = 2
# Backtests at once: they hold Python's lock for seconds, so two would end no sooner.
MAX_BACKTESTS = 1


def build() -> Service:
    return create_app(Settings())


def create_app(settings: Settings) -> Service:
    app = Service(
        title="MR.Q service",
        version="1",
        lifespan=_lifespan,
        docs_url=None,  # Swagger UI from a CDN would need holes in the CSP
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.settings = settings
    use_own_environments(settings.own_environments)
    app.state.error_page = error_page
    errors.install(app)
    # The last one added is the outermost.
    app.add_middleware(BodyLimit, limit_of=body_limits(settings))
    act = Act(settings.max_batch, usual_limit(settings), array_limit(settings))
    app.add_middleware(Authentication, key=lambda: app.state.api_key)
    app.add_middleware(RequestContext)
    app.door = ActDoor(act, key=lambda: app.state.api_key)
    app.router.routes.append(act_route(act))
    app.router.routes.append(stream_route(usual_limit(settings), array_limit(settings)))
    infer = Infer(settings.max_batch, usual_limit(settings), array_limit(settings))
    app.router.routes.extend(infer_routes(infer))
    of_jobs = (jobs, batch, lifecycle, groups, compare, results, files, events)
    of_policies = (
        imports,
        policy_import,
        policies,
        aliases,
        traffic,
        sessions,
        imagine,
        feedback,
        inference,
    )
    of_data = (backtests, datasets, environments)
    for module in (*of_jobs, *of_policies, *of_data, health, metrics, session):
        app.include_router(module.router)
    app.include_router(pages.router)
    app.include_router(group_pages.router)
    app.include_router(backtest_pages.router)
    return app


@asynccontextmanager
async def _lifespan(app: Service) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    database = Database(settings.database_url)
    require_current_schema(database)
    app.state.api_key = make_api_key(settings)[0]
    app.state.database = database
    app.state.policies = LoadedPolicies(
        database, max_batch=settings.max_batch, pass_threads=settings.act_threads
    )
    app.state.sessions = Sessions(
        settings.session_idle_seconds,
        settings.max_sessions,
        settings.max_session_bytes,
        owner=settings.server_name,
    )
    app.state.quick = QuickAct(app.door, app.state.policies)
    app.state.action_log = ActionLog(database, settings.max_logged_actions)
    app.state.feedback_log = FeedbackLog(database, settings.feedback_seconds)
    app.state.streams = OpenStreams(settings.max_streams, settings.session_idle_seconds)
    app.state.artifacts = open_artifacts(settings)
    app.state.dataset_files = open_dataset_files(settings)
    app.state.checking = asyncio.Semaphore(MAX_CHECKS)
    app.state.importing = asyncio.Semaphore(policy_import.MAX_IMPORTS)
    app.state.trying = asyncio.Semaphore(policy_import.MAX_TRIALS)
    app.state.backtesting = asyncio.Semaphore(MAX_BACKTESTS)
    app.state.closing = asyncio.Event()
    hanging_up = asyncio.create_task(app.state.streams.hang_up_when(app.state.closing))
    try:
        with set_on_exit_signal(app.state.closing):
            yield
    finally:
        app.state.closing.set()
        hanging_up.cancel()
        app.state.policies.close()
        database.dispose()
