"""What a baseline serves acts in ONNX Runtime as it did in training."""

import json

import numpy as np
import onnxruntime
import pytest

from mrq_core.events import Evaluated
from mrq_core.training import train
from tests.mrq_core.baselines.runs import RUNS, a_run


@pytest.mark.parametrize("name", RUNS)
def test_outputs_of_the_graph(name: str) -> None:
    last = None
    for event in train(a_run(name)):
        if isinstance(event, Evaluated):
            last = event.export_policy()
            assert event.export_policy().onnx == last.onnx, "equal policies, equal bytes"
    assert last is not None
    golden = json.loads(json.dumps(last.manifest))["golden"]
    session = onnxruntime.InferenceSession(last.onnx, providers=["CPUExecutionProvider"])
    observations = np.array(golden["observations"], np.float32)
    (outputs,) = session.run(["policy"], {"observation": observations})

    expected = np.array(golden["outputs"], np.float32)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    assert outputs.shape == (len(observations), last.manifest["action_dim"])
    assert last.manifest["algorithm"] == name.partition(",")[0]
