import pytest

from tests.mrq_core import kinds


@pytest.fixture(autouse=True)
def _kinds() -> None:
    kinds.register()
