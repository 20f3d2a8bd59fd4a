"""A real browser in front of a real server, and a training that the test drives."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copy
from threading import Thread
from typing import Any
from urllib.request import urlopen

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from app.main import create_app
from store.database import Database
from store.keys import login_link
from store.settings import Settings

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_SECONDS = 60


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.fail(f"{CHROMIUM} is missing: run `make setup-browser`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def database_url(_migrated_sqlite: Path, tmp_path: Path) -> str:
    file = tmp_path / "data" / "mrq.db"
    file.parent.mkdir()
    copy(_migrated_sqlite, file)
    return f"sqlite:///{file}"


@dataclass
class Server:
    """Holds the listening socket, so that a server that is started again has the same address."""

    settings: Settings
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _stop: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        port: int = self.listener.getsockname()[1]
        return f"http://127.0.0.1:{port}"

    @property
    def login_link(self) -> str:
        return login_link(self.url, self.settings.api_key.get_secret_value())

    def start(self) -> None:
        app = create_app(self.settings)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        loop = asyncio.new_event_loop()

        def serve() -> None:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(server.serve(sockets=[self.listener.dup()]))

        def stop() -> None:
            loop.call_soon_threadsafe(app.state.closing.set)  # as the exit signal does
            server.should_exit = True
            thread.join()

        thread = Thread(target=serve)
        thread.start()
        self._stop = stop
        with urlopen(f"{self.url}/healthz", timeout=START_SECONDS):
            pass

    def stop(self) -> None:
        self._stop()
        self._stop = lambda: None


@pytest.fixture
def server(database: Database, settings: Settings) -> Iterator[Server]:
    server = Server(settings)
    server.start()
    yield server
    server.stop()
    server.listener.close()


@dataclass
class Visit:
    """A logged-in page, and what the browser complained about."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        self.requested.clear()
        self.page.goto(self.url + path)
        return self.page


@pytest.fixture
def visit(chromium: Browser, server: Server) -> Iterator[Callable[..., Visit]]:
    """Options are those of a browser context, such as `color_scheme` or `java_script_enabled`."""
    contexts: list[BrowserContext] = []

    def begin(**options: Any) -> Visit:
        defaults: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
        context = chromium.new_context(**(defaults | options))
        contexts.append(context)
        context.set_default_timeout(20_000)
        visit = Visit(context.new_page(), server.url)
        _listen(visit)
        visit.page.goto(server.login_link)
        return visit

    yield begin
    for context in contexts:
        context.close()


def _listen(visit: Visit) -> None:
    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            visit.complaints.append(message.text)

    visit.page.on("console", hear)
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.on("request", lambda request: visit.requested.append(request.url))
