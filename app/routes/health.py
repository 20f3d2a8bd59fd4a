"""Is the process alive; can it do its work."""

from fastapi import APIRouter

from app.answers import Json
from app.deps import PoliciesDep, ReadSession
from app.schemas import HealthView, ReadyView
from store.jobs import count_jobs_by_status

router = APIRouter(tags=["health"])


@router.get("/healthz", response_model=HealthView)
async def healthz() -> Json:
    return Json({"status": "ok"})


@router.get("/readyz", response_model=ReadyView)
def readyz(session: ReadSession, policies: PoliciesDep) -> Json:
    """503 while the database does not answer. Loading a policy does not change it."""
    jobs = count_jobs_by_status(session)
    ready = {"status": "ok", "database": "ok", "jobs": jobs, "policies_loaded": len(policies)}
    return Json(ready)
