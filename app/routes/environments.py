from fastapi import APIRouter

from app.answers import Json, page
from app.deps import SettingsDep
from app.environment_views import EnvironmentView, environment_view
from app.schemas import Page
from store.catalogue import CATALOGUE
from store.errors import NotFound
from store.installed import workers_have

router = APIRouter(prefix="/environments", tags=["environments"])


@router.get("", response_model=Page[EnvironmentView])
def get_environments(settings: SettingsDep) -> Json:
    known = workers_have(settings)
    return Json(page([environment_view(entry, known) for entry in CATALOGUE.values()]))


# An id may have a namespace, as in mrq/Catch-v0.
@router.get("/{environment_id:path}", response_model=EnvironmentView)
def get_environment(environment_id: str, settings: SettingsDep) -> Json:
    if environment_id not in CATALOGUE:
        raise NotFound("environment", environment_id[:128])
    return Json(environment_view(CATALOGUE[environment_id], workers_have(settings)))
