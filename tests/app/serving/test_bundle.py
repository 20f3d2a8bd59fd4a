"""A policy acts here as it acted in training, or not at all."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from onnx import helper

from app.refusals import PolicyBroken
from app.serving.bundle import Actor, open_policy
from mrq_core.graph import Graph
from mrq_core.spaces import Space
from store.policies import ServablePolicy
from tests.app.bundles import (
    CONTINUOUS,
    DISCRETE,
    GOLDEN,
    PART_WEIGHTS,
    PARTS,
    WEIGHTS,
    linear_bundle,
    linear_graph,
)


def servable(action_space: Space = CONTINUOUS, **changes: Any) -> ServablePolicy:
    bundle = linear_bundle(action_space, **changes)
    return ServablePolicy(
        id="pol_1",
        name="swing",
        version=3,
        checkpoint_id="ckpt_1",
        sha256=hashlib.sha256(bundle.onnx).hexdigest(),
        onnx=bundle.onnx,
        manifest=bundle.manifest,
    )


def with_graph(graph: bytes) -> ServablePolicy:
    return replace(servable(), onnx=graph, sha256=hashlib.sha256(graph).hexdigest())


def with_golden(**changes: Any) -> ServablePolicy:
    policy = servable()
    golden = policy.manifest["golden"] | changes
    return replace(policy, manifest=policy.manifest | {"golden": golden})


def test_a_continuous_action_is_in_the_units_of_the_environment() -> None:
    actor = open_policy(servable())
    outputs = actor.forward(np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 9.0]], np.float32))
    # tanh(0.5) of half-width 2; tanh(-1) of centre 5 and half-width 5. tanh(18) is 1: the bound.
    expected = [[2 * np.tanh(0.5), 5 + 5 * np.tanh(-1.0)], [0.0, 10.0]]
    np.testing.assert_allclose(actor.deterministic(outputs), expected, atol=1e-5)


def test_a_discrete_action_is_the_largest_logit() -> None:
    actor = open_policy(servable(DISCRETE))
    outputs = actor.forward(np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], np.float32))
    assert actor.deterministic(outputs).tolist() == [0, 1]


def test_a_wrong_hash_is_refused() -> None:
    with pytest.raises(PolicyBroken, match="sha256"):
        open_policy(replace(servable(), sha256="0" * 64))


def test_other_weights_are_refused() -> None:
    with pytest.raises(PolicyBroken, match="outputs are off by"):
        open_policy(with_graph(linear_graph(WEIGHTS + np.float32(1e-3), tanh=True)))


def test_an_error_within_the_tolerance_passes() -> None:
    open_policy(with_graph(linear_graph(WEIGHTS + np.float32(1e-6), tanh=True)))


def test_weights_that_are_not_finite_are_refused() -> None:
    with pytest.raises(PolicyBroken, match="off by nan"):
        open_policy(with_graph(linear_graph(WEIGHTS * np.float32(np.nan), tanh=True)))


def test_other_actions_are_refused() -> None:
    actions = np.array(servable().manifest["golden"]["actions"])
    actions[1, 0] += 1e-3
    with pytest.raises(PolicyBroken, match="actions are not the recorded"):
        open_policy(with_golden(actions=actions.tolist()))


def test_another_discrete_action_is_refused() -> None:
    policy = servable(DISCRETE)
    actions = [1 - action for action in policy.manifest["golden"]["actions"]]
    golden = policy.manifest["golden"] | {"actions": actions}
    with pytest.raises(PolicyBroken, match="actions are not the recorded"):
        open_policy(replace(policy, manifest=policy.manifest | {"golden": golden}))


def _with_logits(rows: list[list[float]]) -> ServablePolicy:
    """A discrete policy with its recorded outputs changed, and the actions that go with them."""
    policy = servable(DISCRETE)
    golden = policy.manifest["golden"] | {"outputs": rows}
    return replace(policy, manifest=policy.manifest | {"golden": golden})


def _parts(rows: list[list[float]], actions: list[list[int]]) -> ServablePolicy:
    """Zero weights, so that all logits are 0; recorded are these."""
    bundle = linear_bundle(PARTS, np.zeros_like(PART_WEIGHTS))
    golden = bundle.manifest["golden"] | {"outputs": rows, "actions": actions}
    policy = with_graph(bundle.onnx)
    return replace(policy, manifest=bundle.manifest | {"golden": golden})


def test_the_parts_of_an_action_are_compared_each_by_itself() -> None:
    """All logits are equal, to the tolerance: of a part that is a tie any choice will do."""
    tied = [[0.0, 0.0, 0.0, 0.0, 0.0]] * 3
    open_policy(_parts(tied, [[2, 1]] * 3))
    actor = open_policy(_parts(tied, [[0, 0]] * 3))
    assert actor.deterministic(np.zeros((1, 5), np.float32)).tolist() == [[0, 0]]


def test_a_tie_in_one_part_excuses_no_other() -> None:
    policy = servable(PARTS, weights=PART_WEIGHTS)
    # [[0, 0], [1, 1], ...]: of the first row both parts are ties, of the second neither is.
    actions = policy.manifest["golden"]["actions"]
    outputs = policy.manifest["golden"]["outputs"]
    assert outputs[0] == [0.0] * 5
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        changed = [list(action) for action in actions]
        changed[row][column] = (changed[row][column] + 1) % 2
        golden = policy.manifest["golden"] | {"actions": changed}
        other = replace(policy, manifest=policy.manifest | {"golden": golden})
        if row == 0:
            open_policy(other)
            continue
        with pytest.raises(PolicyBroken, match="actions are not the recorded"):
            open_policy(other)


def test_large_logits_are_compared_relative_to_their_size() -> None:
    """100.00001 and 100.00002 are neighbours in float32; a policy must not be refused for that."""
    large = linear_bundle(DISCRETE)
    outputs = large.manifest["golden"]["outputs"]
    scale = 1_000.0 / np.abs(outputs).max()
    graph = linear_graph(WEIGHTS * np.float32(scale), tanh=False)
    exact = (GOLDEN.astype(np.float64) @ (WEIGHTS * scale).astype(np.float64)).tolist()
    policy = replace(_with_logits(exact), onnx=graph, sha256=hashlib.sha256(graph).hexdigest())
    open_policy(policy)
    off = [[value * 1.001 for value in row] for row in exact]
    with pytest.raises(PolicyBroken, match="outputs are off"):
        open_policy(replace(_with_logits(off), onnx=graph, sha256=policy.sha256))


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        (with_graph(b"not onnx"), "cannot run"),
        (with_golden(observations=[], outputs=[], actions=[]), "cannot run|it gives"),
        (servable(format_version=2), "its format is 2"),
        (servable(observation_space={"type": "graph"}), "spaces cannot be read"),
        (replace(servable(), manifest=servable().manifest | {"action_space": {}}), "spaces"),
    ],
)
def test_what_cannot_be_read_is_refused(policy: ServablePolicy, why: str) -> None:
    with pytest.raises(PolicyBroken, match=why):
        open_policy(policy)


def test_one_alone_and_one_of_many_are_the_same_to_the_bit() -> None:
    actor = open_policy(servable())
    observations = np.random.default_rng(0).standard_normal((64, 3)).astype(np.float32)
    together = actor.forward(observations)
    for index, row in enumerate(observations):
        assert actor.forward(row[np.newaxis]).tobytes() == together[index].tobytes()


def draws(actor: Actor, observations: np.ndarray[Any, Any], seed: int | None) -> Any:
    return actor.sample(actor.forward(observations), observations, seed)


@pytest.mark.parametrize("space", [CONTINUOUS, DISCRETE])
def test_a_seed_fixes_the_action_of_an_observation(space: Space) -> None:
    actor = open_policy(servable(space))
    observations = np.tile(GOLDEN[:1], (8, 1))
    observations[3] += 0.25
    batch = draws(actor, observations, 7)
    for index, row in enumerate(observations):
        np.testing.assert_array_equal(draws(actor, row[np.newaxis], 7)[0], batch[index])


def test_another_seed_and_another_observation_draw_anew() -> None:
    actor = open_policy(servable())
    near = GOLDEN[:1] + np.float32(1e-6)
    first = draws(actor, GOLDEN[:1], 7)
    assert np.abs(draws(actor, GOLDEN[:1], 8) - first).max() > 1e-3
    assert np.abs(draws(actor, near, 7) - first).max() > 1e-3
    assert np.abs(draws(actor, GOLDEN[:1], None) - draws(actor, GOLDEN[:1], None)).max() > 1e-3


def test_continuous_noise_has_the_stated_size_and_stays_within_bounds() -> None:
    actor = open_policy(servable())
    zeros = np.zeros((20_000, 3), np.float32)
    sampled = draws(actor, zeros, None)
    # Both outputs are 0: noise of 0.2 on half-widths 2 and 5 around 0 and 5.
    np.testing.assert_allclose(sampled.std(axis=0), [0.4, 1.0], rtol=0.03)
    np.testing.assert_allclose(sampled.mean(axis=0), [0.0, 5.0], atol=0.03)
    at_bound = draws(actor, np.tile(np.array([[9, 0, 0]], np.float32), (1000, 1)), None)
    assert at_bound[:, 0].max() == 2.0
    assert at_bound[:, 1].min() == 0.0


def test_each_part_of_an_action_is_drawn_by_its_own_softmax() -> None:
    actor = open_policy(servable(PARTS, weights=PART_WEIGHTS))
    observation = np.tile(np.array([[1.0, 0.0, 0.0]], np.float32), (20_000, 1))
    drawn = draws(actor, observation, None)  # logits [1, 0.5, 0] and [0, 1]
    first = np.exp([1.0, 0.5, 0.0]) / np.exp([1.0, 0.5, 0.0]).sum()
    shares = [(drawn[:, 0] == choice).mean() for choice in range(3)]
    np.testing.assert_allclose(shares, first, atol=0.015)
    assert drawn[:, 1].mean() == pytest.approx(np.e / (1 + np.e), abs=0.015)
    allowed = np.array([[False, True, True, True, True]])
    drawn = actor.sample(actor.forward(observation), observation, None, allowed)
    assert (drawn[:, 0] == 1).mean() == pytest.approx(1 / (1 + np.exp(-0.5)), abs=0.015)


def test_discrete_actions_are_drawn_by_softmax() -> None:
    actor = open_policy(servable(DISCRETE))
    observation = np.tile(np.array([[0.8, 0.0, 0.0]], np.float32), (20_000, 1))
    # Logits 0.4 and -0.8: the second has probability 1 / (1 + e^1.2).
    assert draws(actor, observation, None).mean() == pytest.approx(1 / (1 + np.e**1.2), abs=0.015)


@pytest.mark.parametrize(("activation", "threads"), [("Tanh", 3), ("Elu", 1)])
def test_it_has_several_threads_only_if_they_change_nothing(
    activation: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = Graph()
    graph.add(activation, "observation", output="policy")
    built = graph.build("policy", {"observation": 3}, {"policy": 3})
    opened: list[int] = []

    def stop(_: bytes, threads: int) -> None:
        opened.append(threads)
        raise MemoryError

    monkeypatch.setattr("app.serving.bundle.open_session", stop)
    with pytest.raises(MemoryError):
        open_policy(with_graph(helper.make_model(built).SerializeToString()), threads=3)
    assert opened == [threads]
