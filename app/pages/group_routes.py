"""The addresses of a group's page. Like the others it works without JavaScript."""

from dataclasses import asdict
from functools import partial
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from app.deps import DatabaseDep, ReadSession
from app.pages.group_page import read_group
from app.pages.questions import ask_cancel_group
from app.pages.rendering import page
from store.batch import SIMPLE, act_on_each
from store.groups import get_group, jobs_of

router = APIRouter(prefix="/ui/job-groups/{group_id}", include_in_schema=False)


@router.get("")
def group_page(request: Request, session: ReadSession, group_id: str) -> Response:
    return page(request, "group.html", **read_group(session, get_group(session, group_id)))


@router.get("/cancel")
def ask_to_cancel(request: Request, session: ReadSession, group_id: str) -> Response:
    question = ask_cancel_group(get_group(session, group_id))
    return page(request, "confirm.html", **asdict(question))


@router.post("/{action}")
def act(
    database: DatabaseDep, group_id: str, action: Literal["cancel", "pause", "resume", "retry"]
) -> Response:
    """Jobs that do not allow it stay as they are: the page shows how each one stands."""
    with database.read() as session:
        jobs = [job.id for job in jobs_of(session, get_group(session, group_id))]
    act_on_each(jobs, partial(SIMPLE[action], database))
    return RedirectResponse(f"/ui/job-groups/{group_id}", status_code=303)
