"""Every kind of space: trained, interrupted and resumed, and served. docs/reference/spaces.md shows
the table; here it is filled."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from starlette.testclient import TestClient

from app.serving.observation import array_shape
from app.serving.trial_process import tried
from mrq_core.environments import Environment
from mrq_core.events import CheckpointDue, Evaluated, Event, Finished, Stopped
from mrq_core.observations import FrameHistory
from mrq_core.run import TrainingRun
from mrq_core.spaces import Box, Discrete, MultiDiscrete, Tuple, space_from_json
from mrq_core.training import train
from store.database import Database
from store.policy_import import read_parts
from store.results import PolicyBundle
from store.settings import Settings
from tests.app.driving import trained_job
from tests.mrq_core.kinds import KINDS, register
from tests.mrq_core.toys import TINY

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "spaces.md"
STEPS = 60


@pytest.fixture(autouse=True)
def _registered() -> None:
    register()
    torch.set_num_threads(1)


def run_of(kind: str) -> TrainingRun:
    return TrainingRun(
        environment_id="Kinds-v0",
        environment_kwargs={"kind": kind},
        history=KINDS[kind].history,
        hyperparameters=replace(TINY, target_update_every=10),
        total_steps=STEPS,
        evaluation_every=STEPS,
        evaluation_episodes=1,
        checkpoint_every=10**9,
        seed=3,
    )


def stop_at(step: int) -> Any:
    asked = iter(range(step + 1))
    return lambda: next(asked) == step


def follow(events: Iterator[Event], folder: Path) -> tuple[list[Event], PolicyBundle | None]:
    seen, bundle = [], None
    for event in events:
        seen.append(event)
        if isinstance(event, CheckpointDue):
            folder.mkdir()
            event.state.save(folder)
        if isinstance(event, Evaluated) and event.step == STEPS:
            exported = event.export_policy()
            bundle = PolicyBundle(onnx=exported.onnx, manifest=exported.manifest)
    return seen, bundle


def digest(events: list[Event]) -> str:
    (finished,) = (event for event in events if isinstance(event, Finished))
    return finished.weights_sha256


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_trained_resumed_and_served(
    kind: str, client: TestClient, database: Database, settings: Settings, tmp_path: Path
) -> None:
    run = run_of(kind)
    whole, bundle = follow(train(run), tmp_path / "whole")
    assert bundle is not None

    stopped, _ = follow(train(run, stop=stop_at(45)), tmp_path / "first")
    assert isinstance(stopped[-1], Stopped)
    resumed, _ = follow(train(run, resume_from=tmp_path / "first"), tmp_path / "second")
    assert digest(resumed) == digest(whole)

    trained_job(database, settings, bundle, name="kind")
    act_as_trained(client, bundle, kind)
    act_as_recorded(client, bundle)
    be_taken_elsewhere(bundle)


def be_taken_elsewhere(bundle: PolicyBundle) -> None:
    """As a stranger's, with all the checks that such a one gets."""
    manifest = json.dumps(bundle.manifest).encode()
    parts = read_parts(manifest, bundle.onnx, None, name=None, sha256=None)
    tried(parts.told, parts.onnx, b"", 4)


def act_as_recorded(client: TestClient, bundle: PolicyBundle) -> None:
    """Each golden pair over HTTP: what the agent did, alone as in a batch, to the last bit."""
    space, golden = bundle.manifest["observation_space"], bundle.manifest["golden"]
    rows = np.array(golden["observations"], np.float32)
    observations = [unflattened(space, row) for row in rows]
    singles = [ask(client, {"observation": each}).json()["action"] for each in observations]
    assert ask(client, {"observations": observations}).json()["actions"] == singles

    recorded = np.array(golden["actions"])
    if recorded.dtype.kind == "f":
        scale = max(1.0, float(np.abs(recorded).max()))
        assert np.abs(np.array(singles) - recorded).max() <= 1e-5 * scale
    else:
        assert singles == recorded.tolist()
    act_in_binary(client, bundle, rows, singles)


def act_in_binary(
    client: TestClient, bundle: PolicyBundle, rows: NDArray[Any], singles: list[Any]
) -> None:
    described = space_from_json(bundle.manifest["observation_space"])
    shape = array_shape(described)
    if shape is None or isinstance(described, Discrete | MultiDiscrete):
        return  # no array of it, or one that is not the network's input
    headers = {
        "Content-Type": "application/octet-stream",
        "X-Shape": ",".join(map(str, (len(rows), *shape))),
        "X-Dtype": "float32" if isinstance(described, Box | Tuple) else "int8",
    }
    content = rows.astype(headers["X-Dtype"]).tobytes()
    answer = client.post("/policies/kind/act", content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    actions = np.frombuffer(answer.content, answer.headers["x-dtype"])
    assert actions.tolist() == np.array(singles).reshape(-1).tolist()


def ask(client: TestClient, body: dict[str, Any]) -> Any:
    answer = client.post("/policies/kind/act", json=body)
    assert answer.status_code == 200, answer.text
    return answer


def act_as_trained(client: TestClient, bundle: PolicyBundle, kind: str) -> None:
    """Plays over HTTP, with observations as a client has them."""
    environment = Environment("Kinds-v0", {"kind": kind}, None, history=KINDS[kind].history)
    seen: Any = environment.reset(11, 0)
    history = FrameHistory(environment.form)
    history.begin(seen.observation)
    for step in range(3):
        body: dict[str, Any] = {"observation": wire(environment, bundle, history)}
        if seen.mask is not None:
            body["action_mask"] = seen.mask.tolist()
        answer = client.post("/policies/kind/act", json=body)
        assert answer.status_code == 200, answer.text
        action = np.asarray(answer.json()["action"], environment.env.action_space.dtype)
        expected = trained_action(environment, bundle, history, seen.mask)
        np.testing.assert_allclose(action, expected, rtol=1e-5, atol=1e-6)
        seen = environment.step(action[()], step)
        history.append(seen.observation)


def trained_action(
    environment: Environment, bundle: PolicyBundle, history: FrameHistory, mask: Any
) -> Any:
    """From the network's input as training makes it, without a server in between."""
    session = onnxruntime.InferenceSession(bundle.onnx, providers=["CPUExecutionProvider"])
    state = history.input().reshape(1, -1).astype(np.float32)
    (outputs,) = session.run(["policy"], {"observation": state})
    masks = None if mask is None else mask[None]
    return environment.codec.to_environment(outputs, masks)[0]


def wire(environment: Environment, bundle: PolicyBundle, history: FrameHistory) -> Any:
    """The last frames as a client would send them: taken apart from the network's input."""
    frames: list[NDArray[Any]] = list(history.frames)
    space = bundle.manifest["observation_space"]
    if environment.form.history > 1:
        return [
            unflattened(part, frame) for part, frame in zip(space["spaces"], frames, strict=True)
        ]
    return unflattened(space, frames[0])


def unflattened(space: Any, flat: NDArray[Any]) -> Any:
    """A value of the described space, as JSON, from its (D,) numbers or its image."""
    value, rest = _take(space, flat.reshape(-1))
    assert rest.size == 0
    return json.loads(json.dumps(value))


def _take(space: Any, flat: NDArray[Any]) -> tuple[Any, NDArray[Any]]:
    match space["type"]:
        case "box" | "multi_binary":
            size = int(np.prod(space["shape"], dtype=int))
            whole = space["type"] == "multi_binary" or np.dtype(space["dtype"]).kind in "iu"
            part = flat[:size].astype(int) if whole else flat[:size]
            if space.get("dtype") == "bool":
                part = flat[:size].astype(bool)
            return part.reshape(space["shape"]).tolist(), flat[size:]
        case "discrete":
            return int(flat[: space["n"]].argmax()) + space["start"], flat[space["n"] :]
        case "multi_discrete":
            chosen = []
            for n, start in zip(space["nvec"], space["start"], strict=True):
                chosen.append(int(flat[:n].argmax()) + start)
                flat = flat[n:]
            return chosen, flat
        case "tuple":
            values = []
            for part in space["spaces"]:
                value, flat = _take(part, flat)
                values.append(value)
            return values, flat
        case "dict":
            named = {}
            for key, part in space["spaces"]:
                named[key], flat = _take(part, flat)
            return named, flat
        case other:
            raise AssertionError(other)


def test_the_page_shows_what_is_tested_here() -> None:
    rows = re.findall(r"^\| (.+?) \| yes \| yes \| yes \|", PAGE.read_text(), re.MULTILINE)
    assert rows == list(KINDS)
