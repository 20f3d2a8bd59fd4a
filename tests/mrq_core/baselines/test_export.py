"""What a baseline serves acts in ONNX Runtime as it does in torch."""

from dataclasses import asdict
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from mrq_core.baselines.policy import BaselinePolicy
from mrq_core.baselines.session import BaselineSession
from mrq_core.bundle import PolicyBundle
from mrq_core.export import export_policy
from tests.mrq_core.baselines.runs import RUNS, a_run


def export(session: BaselineSession, policy: BaselinePolicy, states: Any) -> PolicyBundle:
    environment = session.environment
    return export_policy(
        policy,
        environment_id=session.run.environment_id,
        environment_kwargs={},
        observation_space=environment.observation_space,
        action_space=environment.action_space,
        hyperparameters=session.run.settings,
        step=0,
        weights_sha256="0" * 64,
        form=environment.form,
        masked=environment.masked,
        sample_states=states,
    )


def states_for(session: BaselineSession, name: str) -> Any:
    rng = np.random.default_rng(1)
    shape = session.environment.form.input_shape
    if len(shape) == 3:
        return rng.integers(0, 256, (30, *shape)).astype(np.uint8)
    if name.startswith("q_learning"):
        return np.eye(shape[0], dtype=np.float32)[rng.integers(shape[0], size=30)]
    return (3 * rng.normal(size=(30, *shape))).astype(np.float32)


@pytest.mark.parametrize("name", RUNS)
def test_outputs_of_the_graph(name: str) -> None:
    session = BaselineSession(a_run(name))
    generator = torch.Generator().manual_seed(3)
    policy = session.policy()
    with torch.no_grad():  # as after much training: far from zero, and beyond [-1, 1]
        for tensor in policy.layers.state_dict().values():
            if tensor.dim() > 1:
                tensor.normal_(0.0, 0.5, generator=generator)
    states = states_for(session, name)

    bundle = export(session, policy, states)

    assert export(session, policy, states).onnx == bundle.onnx, "equal policies, equal bytes"
    served = onnxruntime.InferenceSession(bundle.onnx, providers=["CPUExecutionProvider"])
    observations = np.array(bundle.manifest["golden"]["observations"], np.float32)
    (outputs,) = served.run(["policy"], {"observation": observations})
    expected = policy.outputs(states)
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(outputs, expected, atol=1e-5 * scale)
    assert outputs.shape == (30, bundle.manifest["action_dim"])
    assert len(np.unique(outputs)) > 1
    if policy.ending != "logits":
        assert np.abs(outputs).max() <= 1.0
    if policy.ending == "clip":
        assert (np.abs(outputs) == 1.0).any()
    assert bundle.manifest["algorithm"] == name.partition(",")[0]
    assert bundle.manifest["hyperparameters"] == asdict(session.run.settings)
