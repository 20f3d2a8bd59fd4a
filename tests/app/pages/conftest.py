"""A logged-in browser without JavaScript, in front of the real application on SQLite."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from store.keys import login_link
from store.settings import Settings

ORIGIN = "http://testserver"


@pytest.fixture
def database_url(_migrated_sqlite: Path, tmp_path: Path) -> str:
    """Pages do not care which database it is: SQLite only."""
    file = tmp_path / "data" / "mrq.db"
    file.parent.mkdir()
    shutil.copy(_migrated_sqlite, file)
    return f"sqlite:///{file}"


@pytest.fixture
def visitor(database_url: str, settings: Settings) -> Iterator[TestClient]:
    """Without a session."""
    headers = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
    with TestClient(create_app(settings), base_url=ORIGIN, headers=headers) as client:
        yield client


@pytest.fixture
def browser(visitor: TestClient, settings: Settings) -> TestClient:
    link = login_link(ORIGIN, settings.api_key.get_secret_value())
    assert visitor.get(link).url.path == "/ui/jobs"
    return visitor
