"""The learnt model and the values, as a graph beside the policy's."""

import dataclasses
import hashlib
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from mrq_core.agent import Agent
from mrq_core.bundle import PolicyBundle
from mrq_core.config import PRESETS, Hyperparameters
from mrq_core.export import export_policy
from mrq_core.observations import observation_form
from mrq_core.policy import Policy, policy_of
from mrq_core.spaces import Box, Discrete, Floats, Space
from mrq_core.world_model import Prediction

OBSERVATION = Box((-np.inf,) * 6, (np.inf,) * 6, (6,))
CONTINUOUS = Box((-2.0, 0.0, 0.0), (2.0, 1.0, 5.0), (3,))
DISCRETE = Discrete(3, start=1)
REWARD_SCALE = 2.5


def make_policy(space: Space, h: Hyperparameters) -> Policy:
    components = (3,) if isinstance(space, Discrete) else ()
    agent = Agent(h, (6,), 3, components=components, seed=0)
    # As after training: biases that matter, heads that differ, a scale of its own.
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in (*agent.encoder.parameters(), *agent.value.parameters()):
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=noise))
    agent.reward_scale = REWARD_SCALE
    return policy_of(agent)


def states(rows: int) -> Floats:
    return (np.random.default_rng(5).normal(size=(rows, 6)) * 3).astype(np.float32)


def export(policy: Policy, space: Space, h: Hyperparameters) -> PolicyBundle:
    return export_policy(
        policy,
        environment_id="Some-v0",
        environment_kwargs={},
        observation_space=OBSERVATION,
        action_space=space,
        hyperparameters=h,
        step=700,
        weights_sha256="0" * 64,
        form=observation_form(OBSERVATION, None),
        masked=False,
        sample_states=states(8),
    )


def asked(bundle: PolicyBundle, zs: NDArray[Any], action: NDArray[Any]) -> Prediction:
    session = onnxruntime.InferenceSession(bundle.model, providers=["CPUExecutionProvider"])
    feed = {"zs": zs.astype(np.float32), "action": action.astype(np.float32)}
    return Prediction(*session.run(list(Prediction._fields), feed))


cases = pytest.mark.parametrize("space", [CONTINUOUS, DISCRETE], ids=["continuous", "discrete"])
rewards = pytest.mark.parametrize("two_hot", [True, False], ids=["two_hot", "number"])


@cases
@rewards
def test_the_second_graph_predicts_as_torch_does(space: Space, two_hot: bool) -> None:
    h = dataclasses.replace(PRESETS["small"], two_hot_reward=two_hot)
    policy = make_policy(space, h)
    zs, action = policy.encode(states(16)).detach(), torch.eye(3)[torch.arange(16) % 3]

    given = asked(export(policy, space, h), zs.numpy(), action.numpy())

    for name, expected in policy.model.predict(zs, action)._asdict().items():
        largest = float(expected.abs().max())
        answer = getattr(given, name)
        assert answer.shape == expected.shape
        np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-5 * largest, err_msg=name)


def test_values_are_in_units_of_return() -> None:
    policy = make_policy(CONTINUOUS, PRESETS["small"])
    zs, action = policy.encode(states(4)).detach(), torch.zeros(4, 3)
    zsa = policy.model.encoder.encode_state_action(zs, action)

    given = asked(export(policy, CONTINUOUS, PRESETS["small"]), zs.numpy(), action.numpy())

    expected = (policy.model.value(zsa) * REWARD_SCALE).detach().numpy()
    np.testing.assert_allclose(given.q, expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(given.q[:, 0], given.q[:, 1])


@cases
def test_its_golden_numbers_are_those_of_the_graph(space: Space) -> None:
    h = PRESETS["small"]
    policy = make_policy(space, h)
    bundle = export(policy, space, h)
    told = bundle.manifest["model"]
    zs = policy.encode(states(8)).detach().numpy()
    actions = np.array(told["golden"]["actions"], np.float32)

    first = asked(bundle, zs, actions)
    second = asked(bundle, np.asarray(first.next_zs), actions)

    assert bundle.model is not None
    assert told["sha256"] == hashlib.sha256(bundle.model).hexdigest()
    assert (told["trained_horizon"], told["discount"]) == (h.enc_horizon, h.discount)
    pairs = {"q": first.q, "reward": first.reward, "termination": first.termination}
    for name, answer in {**pairs, "next_q": second.q}.items():
        expected = np.array(told["golden"][name])
        assert np.abs(answer - expected).max() <= 1e-5 * max(1.0, np.abs(expected).max()), name


def test_its_shapes_are_as_promised() -> None:
    model = onnx.load_from_string(export(*_continuous()).model or b"")

    def shape(value: onnx.ValueInfoProto) -> tuple[str, list[str | int]]:
        dims = value.type.tensor_type.shape.dim
        return value.name, [dim.dim_param or dim.dim_value for dim in dims]

    assert list(map(shape, model.graph.input)) == [("zs", ["batch", 128]), ("action", ["batch", 3])]
    widths = {"q": 2, "reward": 1, "termination": 1, "next_zs": 128}
    outputs = [(name, ["batch", width]) for name, width in widths.items()]
    assert list(map(shape, model.graph.output)) == outputs


def _continuous() -> tuple[Policy, Space, Hyperparameters]:
    return make_policy(CONTINUOUS, PRESETS["small"]), CONTINUOUS, PRESETS["small"]
