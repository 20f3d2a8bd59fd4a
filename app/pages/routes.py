"""The pages' addresses. Every one works without JavaScript; forms answer with a redirect."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from app.deps import DatabaseDep, JobDep, PoliciesDep, ReadSession, SettingsDep
from app.pages.assets import serve_asset
from app.pages.example import submit_example
from app.pages.forms import FormDep, field
from app.pages.job_list import ListQuery, read_list
from app.pages.job_page import read_overview, read_results, read_setup
from app.pages.promotion import promote
from app.pages.questions import ask_cancel, ask_promote
from app.pages.rendering import page
from app.pages.theme import remember_theme
from store.checkpoint_files import find_checkpoint
from store.lifecycle import cancel_job, pause_job, resume_job, retry_job

router = APIRouter(include_in_schema=False)

Text = Annotated[str, Query(max_length=128)]


def _list_query(
    status: Text = "", environment: Text = "", q: Text = "", after: Text = ""
) -> ListQuery:
    return ListQuery(status=status, environment=environment, q=q.strip(), after=after)


def _see(job_id: str) -> RedirectResponse:
    return RedirectResponse(f"/ui/jobs/{job_id}", status_code=303)


@router.get("/ui/jobs")
def list_page(
    request: Request,
    session: ReadSession,
    settings: SettingsDep,
    query: Annotated[ListQuery, Depends(_list_query)],
) -> Response:
    shown = read_list(session, query, str(request.base_url), settings)
    return page(request, "jobs.html", **shown)


@router.post("/ui/jobs/example")
def start_example(form: FormDep, database: DatabaseDep, settings: SettingsDep) -> Response:
    return _see(submit_example(database, settings, field(form, "key")).id)


@router.get("/ui/jobs/{job_id}")
def job_page(request: Request, session: ReadSession, job: JobDep) -> Response:
    base_url = str(request.base_url)
    shown = read_overview(session, job) | read_results(session, job, base_url)
    return page(request, "job.html", **shown, **read_setup(job, base_url))


@router.get("/ui/jobs/{job_id}/overview")
def overview(request: Request, session: ReadSession, job: JobDep) -> Response:
    return page(request, "job/overview_part.html", **read_overview(session, job))


@router.get("/ui/jobs/{job_id}/results")
def results(request: Request, session: ReadSession, job: JobDep) -> Response:
    return page(request, "job/results.html", **read_results(session, job, str(request.base_url)))


@router.get("/ui/jobs/{job_id}/cancel")
def ask_to_cancel(request: Request, job: JobDep) -> Response:
    return page(request, "confirm.html", **asdict(ask_cancel(job)))


@router.post("/ui/jobs/{job_id}/cancel")
def cancel(database: DatabaseDep, job_id: str) -> Response:
    return _see(cancel_job(database, job_id).id)


@router.post("/ui/jobs/{job_id}/pause")
def pause(database: DatabaseDep, job_id: str) -> Response:
    return _see(pause_job(database, job_id).id)


@router.post("/ui/jobs/{job_id}/resume")
def resume(database: DatabaseDep, job_id: str) -> Response:
    return _see(resume_job(database, job_id).id)


@router.post("/ui/jobs/{job_id}/retry")
def retry(database: DatabaseDep, job_id: str) -> Response:
    return _see(retry_job(database, job_id).id)


@router.get("/ui/jobs/{job_id}/promote")
def ask_to_promote(
    request: Request, session: ReadSession, job: JobDep, checkpoint_id: Text = ""
) -> Response:
    checkpoint = find_checkpoint(session, job, checkpoint_id)
    return page(request, "confirm.html", **asdict(ask_promote(job, checkpoint)))


@router.post("/ui/jobs/{job_id}/promote")
async def promote_one(
    database: DatabaseDep, loaded: PoliciesDep, job_id: str, form: FormDep
) -> Response:
    checkpoint_id, name = field(form, "checkpoint_id"), field(form, "name")
    name = await run_in_threadpool(promote, database, job_id, checkpoint_id, name)
    await loaded.moved(name)
    return _see(job_id)


@router.post("/ui/theme")
def choose_theme(form: FormDep) -> Response:
    return remember_theme(field(form, "theme"), form.get("back", ""))


@router.get("/static/{version}/{path:path}")
def static(request: Request, version: str, path: str) -> Response:
    return serve_asset(request, version, path)
