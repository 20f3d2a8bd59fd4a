"""What the list of jobs shows: everything that chooses it stands in the address."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from app.pages.commands import curl_post
from app.pages.example import EXAMPLE
from app.views import job_views
from store.catalogue import CATALOGUE, EnvironmentEntry
from store.extras import Extra
from store.installed import is_installed, workers_have
from store.jobs import JobFilter, count_jobs_by_status, list_jobs
from store.settings import Settings
from store.states import JobStatus

PAGE_SIZE = 20
SHOWN_STATUSES = (
    JobStatus.RUNNING,
    JobStatus.QUEUED,
    JobStatus.PAUSED,
    JobStatus.SUCCEEDED,
    JobStatus.FAILED,
    JobStatus.CANCELLED,
)


@dataclass(frozen=True, kw_only=True)
class ListQuery:
    """Empty text: not chosen."""

    status: str = ""
    environment: str = ""
    q: str = ""
    after: str = ""

    def url(self) -> str:
        chosen = {name: value for name, value in vars(self).items() if value}
        return "/ui/jobs" + (f"?{urlencode(chosen)}" if chosen else "")

    def to_filter(self) -> JobFilter:
        return JobFilter(
            status=self.status or None,
            environment=self.environment or None,
            name_contains=self.q or None,
        )


@dataclass(frozen=True, kw_only=True)
class Chip:
    label: str
    amount: int
    url: str
    current: bool


def read_list(
    session: Session, query: ListQuery, base_url: str, settings: Settings
) -> dict[str, Any]:
    jobs, next_cursor = list_jobs(
        session, query.to_filter(), limit=PAGE_SIZE, cursor=query.after or None
    )
    counts = count_jobs_by_status(session)
    return {
        "filter": query,
        "here": query.url(),
        "jobs": job_views(session, jobs),
        "any_job": bool(counts),
        "chips": _chips(query, counts),
        "environments": _environments_by_area(workers_have(settings)),
        "clear_url": ListQuery(status=query.status).url(),
        "newest_url": replace(query, after="").url() if query.after else None,
        "older_url": replace(query, after=next_cursor).url() if next_cursor else None,
        "now": datetime.now(UTC),
        "example_key": f"example-{secrets.token_hex(16)}",
        "example_curl": curl_post(base_url, "/jobs", EXAMPLE),
    }


def _chips(query: ListQuery, counts: dict[str, int]) -> list[Chip]:
    """The amounts are of all jobs, whatever the other filters say."""
    amounts = {"": sum(counts.values())} | {s.value: counts.get(s, 0) for s in SHOWN_STATUSES}
    return [
        Chip(
            label=status.capitalize() or "All",
            amount=amount,
            url=replace(query, status=status, after="").url(),
            current=status == query.status,
        )
        for status, amount in amounts.items()
    ]


def _environments_by_area(
    workers_have: frozenset[Extra] | None,
) -> Sequence[tuple[str, list[tuple[str, str]]]]:
    """Ids, each with a note for those that no job can train in at present."""

    def note(entry: EnvironmentEntry) -> str:
        missing = is_installed(entry, workers_have) is False
        return f"needs the extra {entry.extra}" if missing else ""

    groups = groupby(CATALOGUE.values(), key=lambda entry: entry.area)
    return [
        (area.capitalize(), [(entry.id, note(entry)) for entry in entries])
        for area, entries in groups
    ]
