"""One undisturbed run, which every disturbed one must equal byte for byte."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.service import LiveService, live_service, tiny_job


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with live_service(tmp_path_factory.mktemp("service")) as live:
        yield live


@pytest.fixture(scope="session")
def undisturbed(service: LiveService) -> dict[str, Any]:
    job = service.wait_for_end(service.submit(tiny_job()))
    assert job["status"] == "succeeded", job
    return job


@pytest.fixture
def fresh_service(tmp_path: Path) -> Iterator[LiveService]:
    with live_service(tmp_path / "data") as live:
        yield live
