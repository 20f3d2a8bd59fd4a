"""What a server needs to act by a policy: no table, no session. And what its files are called."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MANIFEST, GRAPH, MODEL = "policy.json", "policy.onnx", "model.onnx"


@dataclass(frozen=True, kw_only=True)
class ServablePolicy:
    id: str
    name: str
    version: int
    checkpoint_id: str
    sha256: str
    onnx: bytes
    manifest: dict[str, Any]


# Manifests of the first release do not say these.


def history_of(manifest: Mapping[str, Any]) -> int:
    """Frames in one observation."""
    history: int = manifest.get("history", 1)
    return history


def kind_of(manifest: Mapping[str, Any]) -> str:
    """Of an observation: "vector" or "pixels"."""
    kind: str = manifest.get("observation_kind", "vector")
    return kind
