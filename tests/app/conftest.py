"""The server on a real database, in this process or behind a real port."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from app.main import create_app
from app.serve import server_config
from app.service import Service
from store.database import Database
from store.settings import Settings
from tests.app.driving import BEARER
from tests.app.importing import (
    SPEC,
    Files,
    assert_nothing_remains,
    files_of,
    make_checkpoint,
    post,
)


@pytest.fixture
def app(settings: Settings, database: Database) -> Service:
    return create_app(settings)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """Has the key. Errors come as answers, as they would over a wire."""
    with TestClient(app, headers=BEARER, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def stranger(app: FastAPI, client: TestClient) -> TestClient:
    """Has no key; the server runs because `client` does."""
    return TestClient(app, raise_server_exceptions=False, follow_redirects=False)


@pytest.fixture
def server(app: Service) -> uvicorn.Server:
    """As the service has it; `serve` starts it."""
    return uvicorn.Server(server_config(app, "127.0.0.1", 0))


@pytest.fixture
def serve(server: uvicorn.Server) -> Iterator[Callable[[], str]]:
    """Starts uvicorn on a free port of the loopback. Gives the base URL."""
    thread = threading.Thread(target=server.run)

    def start() -> str:
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server ended before it began"
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    yield start
    server.should_exit = True
    if thread.is_alive():
        thread.join()


@pytest.fixture
def make_client(settings: Settings, database: Database) -> Iterator[Callable[[], TestClient]]:
    """Of a server with the settings as they are by then."""
    with ExitStack() as stack:

        def make() -> TestClient:
            app = create_app(settings)
            client = TestClient(app, headers=BEARER, raise_server_exceptions=False)
            return stack.enter_context(client)

        yield make


@pytest.fixture(scope="session")
def _checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    make_checkpoint(folder)
    return folder


@pytest.fixture
def files(_checkpoint: Path) -> Files:
    """Of a training checkpoint."""
    return files_of(_checkpoint)


@pytest.fixture
def refused(client: TestClient, database: Database, settings: Settings) -> Callable[..., Any]:
    """Posts, and sees that nothing remains of what is refused."""

    def send(files: Files, spec: Any = SPEC) -> Any:
        answer = post(client, files, spec)
        assert answer.status_code == 422, answer.text
        assert_nothing_remains(database, settings)
        return answer.json()

    return send
