"""What goes wrong on our side: no inner text to the client, every header on the answer."""

import logging

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from store.database import Database
from store.settings import Settings
from tests.app.driving import spec, submit

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_a_mistake_of_ours_shows_no_traceback(
    app: FastAPI, client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("secret inner text")

    with caplog.at_level(logging.ERROR):
        answer = client.get("/broken")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json()["request_id"] in caplog.text
    assert "secret inner text" in caplog.text


def test_a_database_that_is_away_is_503_and_comes_back(
    client: TestClient, database: Database, settings: Settings, app: FastAPI
) -> None:
    job_id = submit(database)
    away = settings.data_dir.with_name("away")
    app.state.database.dispose()
    settings.data_dir.rename(away)
    for answer in (
        client.get(f"/jobs/{job_id}"),
        client.post("/jobs", json=spec()),
        client.get("/readyz"),
        client.post("/policies/some/act", json={"observation": [0, 0, 0]}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert answer.headers["retry-after"] == "2"
        assert "sqlite" not in answer.text
    assert client.get("/healthz").json() == {"status": "ok"}
    away.rename(settings.data_dir)
    assert client.get(f"/jobs/{job_id}").status_code == 200


def test_the_server_refuses_a_database_without_the_schema(
    app: FastAPI, tmp_path: object, settings: Settings, database: Database
) -> None:
    from sqlalchemy import text

    from store.errors import SetupError

    with database.engine.begin() as connection:
        connection.execute(text("DELETE FROM alembic_version"))
    with pytest.raises(SetupError, match="mrq migrate"), TestClient(app):
        pass
