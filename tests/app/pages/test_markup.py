"""What must hold on every page, whatever a job brings along."""

from collections import Counter

import pytest
from fastapi.testclient import TestClient

from store.database import Database
from store.settings import Settings
from store.states import Reason
from tests.app.pages.fake_training import FakeTraining, submit
from tests.app.pages.reading import read, text_of

ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus=alert(1) x='",
    "</textarea></title><svg onload=alert(1)>",
    "{{ 7 * 7 }}",
    "javascript:alert(1)",
    "&lt;b&gt; stays as it is",
]


@pytest.fixture
def job_id(database: Database, settings: Settings) -> str:
    """A failed job of two attempts with a promoted policy, where each text of ours is an attack."""
    labels = {f"label-{number}": attack for number, attack in enumerate(ATTACKS)}
    job = submit(database, labels=labels)
    impatient = settings.model_copy(update={"backoff_seconds": 0})
    first = FakeTraining(database, impatient)
    first.evaluate(500, -1000.0)
    first.lose(" ".join(ATTACKS))
    second = FakeTraining(database, settings)
    second.evaluate(500, -900.0)
    second.fail(Reason.ENVIRONMENT_ERROR, " ".join(ATTACKS))
    return job.id


PAGES = [
    "/ui/jobs",
    '/ui/jobs?q="><script>alert(1)</script>&status="><b>&environment=<i>',
    "/ui/jobs/{id}",
    "/ui/jobs/{id}/overview",
    "/ui/jobs/{id}/results",
    "/ui/jobs/{id}/cancel",
    "/ui/jobs/<script>alert(1)</script>",
]


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_inline_and_nothing_foreign(browser: TestClient, job_id: str, path: str) -> None:
    for tag in read(browser.get(path.format(id=job_id)).text).tags:
        assert tag.name not in {"style", "iframe", "object", "base", "img"}
        for name, value in tag.attributes.items():
            assert not name.startswith("on"), (tag.name, name)
            assert name != "style", tag.name
            if name in {"href", "src", "action", "hx-get"} and not (value or "").startswith(
                "data:"
            ):
                assert (value or "").startswith(("/", "#")), (tag.name, value)
        if tag.name == "script":
            assert tag.attributes["src"]


@pytest.mark.parametrize("path", PAGES)
def test_an_id_names_one_element(browser: TestClient, job_id: str, path: str) -> None:
    tags = read(browser.get(path.format(id=job_id)).text).tags
    ids = Counter(tag.attributes["id"] for tag in tags if "id" in tag.attributes)
    assert [name for name, amount in ids.items() if amount > 1] == []
    for tag in tags:
        for name in ("aria-labelledby", "data-copy"):
            if name in tag.attributes and tag.attributes.get("id") != "confirm":
                assert tag.attributes[name] in ids, (tag.name, name)


def test_attacks_are_shown_as_the_text_they_are(browser: TestClient, job_id: str) -> None:
    text = text_of(browser.get(f"/ui/jobs/{job_id}").text)
    for number, attack in enumerate(ATTACKS):
        assert f"label-{number}={attack}" in text
        assert text.count(attack) >= 4, "label, spec, failure card and table of attempts"


def test_a_page_needs_few_requests(browser: TestClient, job_id: str) -> None:
    """The page itself and its event stream beside the files."""
    tags = read(browser.get(f"/ui/jobs/{job_id}").text).tags
    files = [
        tag
        for tag in tags
        if tag.name == "script"
        or (tag.name == "link" and not (tag.attributes["href"] or "").startswith("data:"))
    ]
    assert len(files) + 2 <= 10


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_never_cached(browser: TestClient, job_id: str, path: str) -> None:
    answer = browser.get(path.format(id=job_id))
    if answer.status_code == 200:
        assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"].startswith(
        "default-src 'none'; script-src 'self'"
    )
