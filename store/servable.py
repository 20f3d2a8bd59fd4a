"""What a server needs to act by a policy: no table, no session. And what its files are called."""

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
