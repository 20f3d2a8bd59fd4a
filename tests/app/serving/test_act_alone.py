"""The example that acts without the service: nothing of this project is there to be imported."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from mrq_core.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple
from store.database import Database
from store.results import PolicyBundle
from store.settings import Settings
from tests.app.bundles import CONTINUOUS, OBSERVATION, linear_bundle, pixel_bundle
from tests.app.driving import trained_job

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "act_alone.py"
ABSENT = ("app", "cli", "fastapi", "gymnasium", "mrq_core", "onnx", "store", "torch", "worker")
# Several runs in one process: importing ONNX Runtime is most of the time of each.
RUNNER = """
import contextlib, io, json, runpy, sys

program, absent, runs = json.load(sys.stdin)

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Absent())
results = []
for arguments in runs:
    said, complained = io.StringIO(), io.StringIO()
    sys.argv = [program, *arguments]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        try:
            runpy.run_path(program, run_name="__main__")
        except SystemExit as end:
            code = end.code
    results.append([code, said.getvalue(), complained.getvalue()])
assert not {name.partition(".")[0] for name in sys.modules} & set(absent)
json.dump(results, sys.stdout)
"""
ACTIONS: dict[str, Space] = {
    "box": CONTINUOUS,
    "box-float64": Box((-1.0, -3.0), (2.0, 9.0), (1, 2), "float64"),
    "box-integers": Box((0, -5), (9, 5), (2,), "int16"),
    "box-booleans": Box((0, 0), (1, 1), (2,), "bool"),
    "discrete": Discrete(4, start=3),
    "multi-discrete": MultiDiscrete((3, 2), (1, -1), (2,)),
    "multi-binary": MultiBinary((2, 1)),
}
WIDTHS = {"box-booleans": 4, "discrete": 4, "multi-discrete": 5, "multi-binary": 4}
PART = Box((-9.0,) * 2, (9.0,) * 2, (2,))
OBSERVATIONS: dict[str, tuple[Space, Any]] = {
    "sees-discrete": (Discrete(3, start=-1), 0),
    "sees-multi-discrete": (MultiDiscrete((3, 2), (1, -1), (2,)), [3, -1]),
    "sees-multi-binary": (MultiBinary((3,)), [1, 0, 1]),
    "sees-parts": (
        Dict((("b", Tuple((PART, Discrete(2)))), ("a", MultiBinary((2,))))),
        {"a": [0, 1], "b": [[0.5, -2], 1]},
    ),
    "sees-frames": (Tuple((PART, PART)), [[0.5, -2], [1, 0.25]]),
}


def bundles() -> dict[str, PolicyBundle]:
    rng = np.random.default_rng(0)
    made = {}
    for kind, space in ACTIONS.items():
        weights = rng.normal(size=(3, WIDTHS.get(kind, 2))).astype(np.float32)
        rows = rng.normal(size=(16, 3)).astype(np.float32)
        made[kind] = linear_bundle(space, weights, rows)
    for kind, (space, _) in OBSERVATIONS.items():
        weights = rng.normal(size=(space.flat_size, 2)).astype(np.float32)
        rows = rng.integers(0, 2, (4, space.flat_size)).astype(np.float32)
        made[kind] = linear_bundle(
            weights=weights, observations=rows, observation_space=space.to_json()
        )
    return made


def download(client: TestClient, job_id: str, folder: Path) -> Path:
    folder.mkdir()
    (checkpoint,) = client.get(f"/jobs/{job_id}/checkpoints").json()["data"]
    for name in ("policy.onnx", "policy.json"):
        answer = client.get(f"{checkpoint['links']['files']}/{name}")
        (folder / name).write_bytes(answer.raise_for_status().content)
    return folder


def alone(runs: list[list[str]]) -> list[Any]:
    """Exit code, standard output and standard error of each."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", RUNNER],
        input=json.dumps([str(EXAMPLE), ABSENT, runs]),
        capture_output=True,
        text=True,
        check=True,
    )
    return list(json.loads(done.stdout))


def test_it_acts_as_the_service_does_with_every_kind_of_space(
    client: TestClient, database: Database, settings: Settings, tmp_path: Path
) -> None:
    runs, expected = [], []
    for kind, bundle in bundles().items():
        job_id = trained_job(database, settings, bundle, name=kind)
        folder = str(download(client, job_id, tmp_path / kind))
        observation = OBSERVATIONS[kind][1] if kind in OBSERVATIONS else [0.5, -1.5, 0.25]
        asked: dict[str, Any] = {"observation": observation}
        runs.append([folder, json.dumps(observation)])
        if kind in WIDTHS:
            asked["action_mask"] = [0, 1, *[1] * (WIDTHS[kind] - 3), 0]
            runs[-1] += ["--mask", json.dumps(asked["action_mask"])]
        answer = client.post(f"/policies/{kind}/act", json=asked)
        assert answer.status_code == 200, answer.text
        expected.append(answer.json()["action"])
    for run, action, (code, said, complained) in zip(runs, expected, alone(runs), strict=True):
        assert code == 0, (run, complained)
        assert "golden pairs hold" in complained
        np.testing.assert_allclose(json.loads(said), action, rtol=1e-5, atol=1e-6)


def test_pixels_are_sent_channel_first_oldest_frame_first(
    client: TestClient, database: Database, settings: Settings, tmp_path: Path
) -> None:
    job_id = trained_job(database, settings, pixel_bundle(1, (1, 31, 32)), name="pixels")
    folder = download(client, job_id, tmp_path / "pixels")
    image = (np.arange(31 * 32) % 256).reshape(1, 31, 32).tolist()
    action = client.post("/policies/pixels/act", json={"observation": image}).json()["action"]
    ((code, said, _),) = alone([[str(folder), json.dumps(image)]])
    assert (code, json.loads(said)) == (0, action)


def test_a_policy_that_is_not_what_was_trained_is_refused(
    client: TestClient, database: Database, settings: Settings, tmp_path: Path
) -> None:
    job_id = trained_job(database, settings, linear_bundle())
    whole = download(client, job_id, tmp_path / "whole")
    graph, manifest = (whole / "policy.onnx").read_bytes(), (whole / "policy.json").read_text()
    weights = np.float32(-1.0).tobytes()
    assert graph.count(weights) == 1
    other = json.loads(manifest)
    other["golden"]["actions"][1][1] += 0.01
    broken = {
        "another-weight": (graph.replace(weights, np.float32(-1.01).tobytes()), manifest),
        "not-a-number": (graph.replace(weights, np.float32(np.nan).tobytes()), manifest),
        "cut-off": (graph[: len(graph) // 2], manifest),
        "another-action": (graph, json.dumps(other)),
        "another-format": (graph, json.dumps(other | {"format_version": 2})),
        "no-json": (graph, manifest[:-1]),
        "another-space": (graph, manifest.replace("-2.0", "-3.0")),
    }
    for name, (onnx, text) in broken.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "policy.onnx").write_bytes(onnx)
        (tmp_path / name / "policy.json").write_text(text)
    *refused, fine, missing = alone([[str(tmp_path / name)] for name in [*broken, "whole", "none"]])
    for name, (code, said, complained) in zip(broken, refused, strict=True):
        assert (code, said) == (1, ""), name
        assert "not to be acted with" in complained
    assert "off by 0.0" in refused[0][2]
    assert fine[0] == 0
    assert missing[0] == 2


def test_a_wrong_observation_and_a_wrong_mask_are_refused(
    client: TestClient, database: Database, settings: Settings, tmp_path: Path
) -> None:
    assert OBSERVATION.shape == (3,)
    job_id = trained_job(database, settings, linear_bundle(Discrete(2)))
    folder = str(download(client, job_id, tmp_path / "policy"))
    wrong = (
        (["[1, 2]"], "expected numbers of shape [3]"),
        (['"a"'], "expected numbers of shape [3]"),
        (["[1, 2, 3]", "--mask", "[1]"], "a mask has 2 entries here, not 1"),
        (["[1, 2, 3]", "--mask", "[0, 0]"], "at least one choice"),
    )
    results = alone([[folder, *arguments] for arguments, _ in wrong])
    for (_, expected), (code, said, complained) in zip(wrong, results, strict=True):
        assert (code, said) == (2, "")
        assert expected in complained
