"""A policy's files, and what a client makes of them."""

import hashlib
import json
from typing import Any

from starlette.testclient import TestClient

from store.results import PolicyBundle
from tests.app.bundles import linear_bundle

PATH = "/policies/import"
MANIFEST, GRAPH, MODEL = "policy.json", "policy.onnx", "model.onnx"
Files = dict[str, bytes]


def files_of(bundle: PolicyBundle) -> Files:
    files = {MANIFEST: json.dumps(bundle.manifest).encode(), GRAPH: bundle.onnx}
    return files if bundle.model is None else {**files, MODEL: bundle.model}


def policy_files(**changes: Any) -> Files:
    """With `changes` to the manifest; what is None is taken away."""
    bundle = linear_bundle(algorithm="mrq", step=1_000)
    manifest = bundle.manifest | changes
    told = {key: value for key, value in manifest.items() if value is not None}
    return {MANIFEST: json.dumps(told).encode(), GRAPH: bundle.onnx}


def post(client: TestClient, files: Files, **query: str) -> Any:
    parts = [(name, (name, content)) for name, content in files.items()]
    return client.post(PATH, files=parts, params=query)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
