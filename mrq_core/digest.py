"""One fingerprint of all that was learned, to compare runs by."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from mrq_core.agent import Agent


def weights_sha256(agent: Agent) -> str:
    """Over the bytes of every network, the targets too. Equal runs give equal digests."""
    digest = hashlib.sha256()
    for name, network in agent.networks().items():
        for key, tensor in network.state_dict().items():
            digest.update(f"{name}.{key}".encode())
            digest.update(tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def arrays_sha256(arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(name.encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
