"""What an evaluation is by itself; that it leaves no trace in training is in test_training."""

import numpy as np
import pytest
import torch

from mrq_core.evaluation import Evaluation, Evaluator
from mrq_core.events import Evaluated
from mrq_core.policy import policy_of
from mrq_core.session import Session
from mrq_core.training import train
from tests.mrq_core.kinds import register
from tests.mrq_core.toys import tiny_run


def test_evaluations_keep_to_the_masks() -> None:
    """The environment itself raises where an illegal action is taken."""
    register()
    run = tiny_run(
        "Kinds-v0",
        environment_kwargs={"kind": "mask in info, action_mask"},
        max_episode_steps=None,
        evaluation_episodes=5,
    )
    for event in train(run):
        if isinstance(event, Evaluated):
            assert event.lengths == (12,) * 5


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # at the first import of Box2D
def test_an_evaluation_of_the_same_policy_is_the_same_even_where_a_reset_leaves_traces() -> None:
    run = tiny_run(
        "BipedalWalker-v3", evaluation_episodes=3, max_episode_steps=60, evaluation_mode="sample"
    )
    session, evaluator = Session(run), Evaluator(run)
    policy = policy_of(session.agent)

    first = evaluator.evaluate(policy, 0).returns
    assert [evaluator.evaluate(policy, 0).returns for _ in range(2)] == [first, first]
    evaluator.environment.close()
    session.environment.close()


def test_golden_states_are_few_and_from_the_whole_episode() -> None:
    evaluation = Evaluation()
    for t in range(1000):
        evaluation.collect(np.full(3, t, np.float32))

    assert len(evaluation.states) <= 64
    chosen = evaluation.sample_states()[:, 0].tolist()
    assert len(chosen) == 16
    assert chosen == sorted(chosen)
    assert chosen[0] == 0
    assert chosen[-1] > 950


def test_random_actions_of_an_evaluation_are_legal_and_the_same_every_time() -> None:
    """The environment itself raises where an illegal action is taken; all 12 steps are random."""
    register()
    run = tiny_run(
        "Kinds-v0",
        environment_kwargs={"kind": "mask in info, action_mask"},
        max_episode_steps=None,
        evaluation_episodes=3,
        evaluation_epsilon=1.0,
    )
    session, evaluator = Session(run), Evaluator(run)
    policy = policy_of(session.agent)
    first = evaluator.evaluate(policy, 0)
    assert evaluator.evaluate(policy, 0).returns == first.returns
    assert first.lengths == [12] * 3
    evaluator.environment.close()
    session.environment.close()


@pytest.mark.parametrize(("epsilon", "differs"), [(0.0, False), (1.0, True)])
def test_with_epsilon_the_policy_does_not_decide_alone(epsilon: float, differs: bool) -> None:
    """Left alone, this one always pushes the cart to the left, which falls within 12 steps."""
    run = tiny_run("CartPole-v1", evaluation_episodes=4, evaluation_epsilon=epsilon)
    session, evaluator = Session(run), Evaluator(run)
    with torch.no_grad():
        for tensor in session.agent.policy.parameters():
            tensor.zero_()
    lengths = evaluator.evaluate(policy_of(session.agent), 0).lengths
    assert (max(lengths) > 12) == differs
    evaluator.environment.close()
    session.environment.close()
