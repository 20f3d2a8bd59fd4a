from collections.abc import Iterator

import pytest
import torch

from tests.mrq_core import toys


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Equal bytes are promised for an equal number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _toys() -> None:
    toys.register()
