"""What acts, for the tests of acting."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from app.service import Service
from store.database import Database
from store.settings import Settings
from tests.app.driving import best_checkpoint_of, trained_job
from tests.app.serving.wire import Wire, request


@pytest.fixture
def checkpoint(database: Database, settings: Settings) -> str:
    """Promoted as swing:1."""
    return best_checkpoint_of(database, trained_job(database, settings, name="swing"))


@pytest.fixture
def wire(serve: Callable[[], str]) -> Iterator[Wire]:
    with closing(Wire(serve())) as wire:
        yield wire


@pytest.fixture
def taken(app: Service, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests that were answered at the connection, by their ids."""
    wire.send(request())
    assert wire.answer()[0] == 200  # the policy is in memory now
    quick = app.quick()
    assert quick is not None
    ids: list[str] = []
    reply = quick.reply

    def noted(*arguments: Any) -> Any:
        identity, answer = reply(*arguments)
        ids.append(identity)
        return identity, answer

    monkeypatch.setattr(quick, "reply", noted)
    return ids
