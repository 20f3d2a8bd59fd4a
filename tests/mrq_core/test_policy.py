import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from mrq_core.actions import action_codec
from mrq_core.agent import Agent
from mrq_core.bundle import PolicyBundle
from mrq_core.config import PRESETS
from mrq_core.export import export_policy
from mrq_core.observations import observation_form
from mrq_core.policy import Policy, policy_of
from mrq_core.spaces import Box, Discrete, Floats, Space, space_from_json

OBSERVATION = Box((-np.inf,) * 6, (np.inf,) * 6, (6,))
CONTINUOUS = Box((-2.0, 0.0, 0.0), (2.0, 1.0, 5.0), (3,))
DISCRETE = Discrete(3, start=1)
both = pytest.mark.parametrize("space", [CONTINUOUS, DISCRETE], ids=["continuous", "discrete"])


def make_policy(space: Space, seed: int = 0) -> Policy:
    components = action_codec(space).components
    agent = Agent(PRESETS["small"], (6,), 3, components=components, seed=seed)
    # As after training: biases that matter, outputs that are not all near zero.
    with torch.no_grad():
        for parameter in (*agent.encoder.parameters(), *agent.policy.parameters()):
            parameter.add_(0.05)
    return policy_of(agent)


def observations(rows: int) -> Floats:
    return (np.random.default_rng(5).normal(size=(rows, 6)) * 3).astype(np.float32)


def export(policy: Policy, space: Space) -> PolicyBundle:
    return export_policy(
        policy,
        environment_id="Some-v0",
        environment_kwargs={"gravity": 9.8},
        observation_space=OBSERVATION,
        action_space=space,
        hyperparameters=PRESETS["small"],
        step=700,
        weights_sha256="0" * 64,
        form=observation_form(OBSERVATION, None),
        masked=False,
        sample_states=observations(8),
    )


def served(bundle: PolicyBundle, batch: Floats, name: str = "policy") -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(bundle.onnx, options, providers=["CPUExecutionProvider"])
    (output,) = session.run([name], {"observation": batch})
    result: NDArray[np.float32] = output
    return result


@both
def test_the_exported_graph_computes_what_torch_does(space: Space) -> None:
    policy = make_policy(space)
    batch = observations(64)

    output = served(export(policy, space), batch)

    expected = policy.outputs(batch)
    assert output.dtype == np.float32
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)
    assert output.argmax(1).tolist() == expected.argmax(1).tolist()


@both
def test_its_second_output_is_the_states_embedding(space: Space) -> None:
    policy = make_policy(space)
    batch = observations(8)
    with torch.no_grad():
        zs = policy.encoder.encode_state(torch.from_numpy(batch)).numpy()
    latent = served(export(policy, space), batch, "latent")
    np.testing.assert_allclose(latent, zs, rtol=1e-5, atol=1e-5)


@both
def test_a_row_of_a_batch_is_bitwise_the_row_alone(space: Space) -> None:
    bundle = export(make_policy(space), space)
    batch = observations(17)
    together = served(bundle, batch)

    for row in range(17):
        assert served(bundle, batch[row : row + 1]).tobytes() == together[row].tobytes()


@both
def test_the_graph_is_valid_and_its_shapes_are_as_promised(space: Space) -> None:
    model = onnx.load_from_string(export(make_policy(space), space).onnx)
    onnx.checker.check_model(model, full_check=True)

    def shape(value: onnx.ValueInfoProto) -> tuple[str, list[str | int]]:
        dims = value.type.tensor_type.shape.dim
        return value.name, [dim.dim_param or dim.dim_value for dim in dims]

    assert list(map(shape, model.graph.input)) == [("observation", ["batch", 6])]
    outputs = [("policy", ["batch", 3]), ("latent", ["batch", PRESETS["small"].zs_dim])]
    assert list(map(shape, model.graph.output)) == outputs


@both
def test_equal_policies_give_equal_bytes(space: Space) -> None:
    assert export(make_policy(space), space) == export(make_policy(space), space)
    assert export(make_policy(space), space).onnx != export(make_policy(space, 1), space).onnx


@both
def test_the_manifest_is_json_and_complete(space: Space) -> None:
    bundle = export(make_policy(space), space)
    manifest = json.loads(json.dumps(bundle.manifest, allow_nan=False))

    assert manifest == bundle.manifest
    assert space_from_json(manifest["observation_space"]) == OBSERVATION
    assert space_from_json(manifest["action_space"]) == space
    assert (manifest["observation_dim"], manifest["action_dim"], manifest["step"]) == (6, 3, 700)
    assert manifest["hyperparameters"]["zs_dim"] == 128
    assert manifest["exploration_noise"] == 0.2


@both
def test_golden_pairs_are_torchs(space: Space) -> None:
    policy = make_policy(space)
    golden = export(policy, space).manifest["golden"]

    batch = np.array(golden["observations"], np.float32)
    assert batch.tobytes() == observations(8).tobytes()
    outputs = policy.outputs(batch)
    assert np.array(golden["outputs"], np.float32).tobytes() == outputs.tobytes()
    if isinstance(space, Discrete):
        assert golden["actions"] == (outputs.argmax(1) + 1).tolist()
    else:
        low, high = np.array(CONTINUOUS.low), np.array(CONTINUOUS.high)
        expected = low + (outputs + 1) / 2 * (high - low)
        np.testing.assert_allclose(golden["actions"], expected, rtol=1e-5, atol=1e-6)


@both
def test_acting_deterministically_uses_no_chance(space: Space) -> None:
    policy = make_policy(space)
    generator = torch.Generator()
    before = generator.get_state()
    actions = policy.act(observations(5), "deterministic", generator)

    assert torch.equal(generator.get_state(), before)
    outputs = policy.outputs(observations(5))
    expected = np.eye(3)[outputs.argmax(1)] if isinstance(space, Discrete) else outputs
    assert actions.tolist() == expected.tolist()


def test_sampled_discrete_actions_follow_the_softmax() -> None:
    policy = make_policy(DISCRETE)
    one = observations(1)
    logits = policy.outputs(one)[0].astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum()

    rows = np.repeat(one, 20_000, axis=0)
    actions = policy.act(rows, "sample", torch.Generator().manual_seed(0))

    assert actions.mean(0).tolist() == pytest.approx(expected.tolist(), abs=0.02)


def test_sampled_continuous_actions_are_noisy_and_clipped() -> None:
    policy = make_policy(CONTINUOUS)
    with torch.no_grad():
        policy.network.output.weight.mul_(0.01)
        policy.network.output.bias.copy_(torch.tensor([0.0, 0.5, 3.0]))
    centre = policy.outputs(observations(1))[0]

    rows = np.repeat(observations(1), 20_000, axis=0)
    actions = policy.act(rows, "sample", torch.Generator().manual_seed(0))

    assert actions[:, :2].mean(0).tolist() == pytest.approx(centre[:2].tolist(), abs=0.01)
    assert actions[:, 0].std() == pytest.approx(0.2, abs=0.01)
    assert actions.max() == 1.0
