"""Jobs and groups side by side: `store.comparison` over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from app.answers import Json
from app.comparison_view import ComparisonView, comparison_view
from app.deps import ReadSession
from store.comparison import compare

router = APIRouter(tags=["groups"])


class CompareQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    ids: str = Field(max_length=1_000, description="Of 2 to 10 jobs or groups, with commas.")
    baseline: str | None = Field(
        default=None, max_length=64, description="One of ids. null: the first."
    )
    target: float | None = Field(default=None, description="How soon was this return reached?")


@router.get("/compare", response_model=ComparisonView)
def get_comparison(query: Annotated[CompareQuery, Query()], session: ReadSession) -> Json:
    """Learning curves on common steps, and the probability that one learns better."""
    ids = [part.strip() for part in query.ids.split(",")]
    found = compare(session, ids, baseline=query.baseline, target=query.target)
    return Json(comparison_view(found))
