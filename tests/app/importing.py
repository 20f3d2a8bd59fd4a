"""Real checkpoints, and what a client makes of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from starlette.testclient import TestClient

from mrq_core.session import Session
from store.database import Database
from store.settings import Settings
from store.spec import JobSpec
from store.training_runs import training_run
from tests.app.driving import row_counts

PATH = "/checkpoints/import"
STEPS = 150
SPEC: dict[str, Any] = {
    "name": "from-elsewhere",
    "environment": {"id": "Pendulum-v1"},
    "algorithm": {
        "preset": "small",
        "hyperparameters": {
            "zs_dim": 8,
            "zsa_dim": 8,
            "za_dim": 4,
            "encoder_hidden_dim": 8,
            "value_hidden_dim": 8,
            "policy_hidden_dim": 8,
            "batch_size": 8,
            "target_update_every": 20,
            "buffer_size": 100,
            "warmup_steps": 30,
        },
    },
    "budget": {"total_steps": STEPS},
    "seed": 3,
}
Files = dict[str, bytes]


def make_checkpoint(folder: Path) -> None:
    """As a trainer leaves it: with whole segments of the replay, in the middle of an episode."""
    torch.set_num_threads(1)  # many of them wait for each other
    session = Session(training_run(JobSpec.model_validate(SPEC), "cpu"))
    for _ in range(STEPS):
        session.advance()
    session.save(folder)


def files_of(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def changed_state(files: Files, **changes: Any) -> Files:
    """With what a change is null for taken away."""
    state = json.loads(files["state.json"]) | changes
    state = {key: value for key, value in state.items() if value is not None}
    return {**files, "state.json": json.dumps(state).encode()}


def changed_tensors(files: Files, name: str, folder: Path, **changes: Any) -> Files:
    """With `tensor=array`; a tensor that is None is taken away. Written by the library."""
    file = folder / "tensors"
    file.write_bytes(files[name])
    tensors = load_file(file) | {key.replace("__", "/"): value for key, value in changes.items()}
    save_file({key: np.asarray(t) for key, t in tensors.items() if t is not None}, file)
    return {**files, name: file.read_bytes()}


def parts_of(files: Files, spec: Any = SPEC) -> list[tuple[str, tuple[str, bytes]]]:
    parts = [(name, (name, content)) for name, content in files.items()]
    return parts if spec is None else [("spec", ("spec.json", json.dumps(spec).encode())), *parts]


def post(client: TestClient, files: Files, spec: Any = SPEC, **headers: str) -> Any:
    return client.post(PATH, files=parts_of(files, spec), headers=headers)


def assert_nothing_remains(database: Database, settings: Settings) -> None:
    assert set(row_counts(database).values()) == {0}
    assert list(settings.artifact_dir.rglob("*")) == []


def weights(files: Files) -> Files:
    return {name: files[name] for name in ("state.json", "agent.safetensors")}
