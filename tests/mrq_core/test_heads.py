"""Components and masks; the single one-hot and the continuous head are in test_agent."""

import pytest
import torch

from mrq_core.heads import ContinuousHead, DiscreteHead, action_head

TWO_THEN_THREE = DiscreteHead((2, 3), tau=10.0)
NO_GUMBEL = torch.zeros(())


def test_every_component_is_a_softmax_of_its_own() -> None:
    u = torch.tensor([[10.0, 0.0, 0.0, 0.0, 20.0]])

    action = TWO_THEN_THREE.activate(u, NO_GUMBEL, None)[0].tolist()

    e = 2.718281828459045
    assert action[:2] == pytest.approx([e / (e + 1), 1 / (e + 1)])
    assert action[2:] == pytest.approx([1 / (2 + e**2), 1 / (2 + e**2), e**2 / (2 + e**2)])


def test_every_component_makes_one_choice() -> None:
    action = torch.tensor([[0.2, 0.9, 3.0, 1.0, 2.0], [5.0, 0.9, 0.1, 0.3, 0.2]])

    assert TWO_THEN_THREE.complete(action, None).tolist() == [[0, 1, 1, 0, 0], [1, 0, 0, 1, 0]]


def test_what_the_mask_forbids_is_never_chosen_however_much_noise_speaks_for_it() -> None:
    mask = torch.tensor([[True, False, False, True, True]])
    noisy = torch.tensor([[-9.0, 50.0, 50.0, 0.0, 0.1]])

    assert TWO_THEN_THREE.complete(noisy, mask).tolist() == [[1, 0, 0, 0, 1]]
    assert TWO_THEN_THREE.deterministic(noisy, mask).tolist() == [[1, 0, 0, 0, 1]]


def test_samples_keep_to_the_mask_and_reach_all_that_it_allows() -> None:
    mask = torch.tensor([True, True, False, True, True]).expand(400, -1)
    u = torch.tensor([0.0, 0.0, 9.0, 0.0, 0.0]).expand(400, -1)

    drawn = TWO_THEN_THREE.sample(u, 0.0, torch.Generator().manual_seed(0), mask)

    assert drawn[:, 2].sum() == 0
    assert (drawn[:, [0, 1, 3, 4]].sum(0) > 150).all()


def test_a_forbidden_choice_has_no_weight_and_gets_no_gradient() -> None:
    u = torch.zeros(1, 5, requires_grad=True)
    mask = torch.tensor([[True, True, False, True, True]])

    action = TWO_THEN_THREE.activate(u, NO_GUMBEL, mask)
    torch.autograd.backward((action * torch.arange(5.0)).sum())

    assert action[0].tolist() == pytest.approx([0.5, 0.5, 0.0, 0.5, 0.5])
    assert u.grad is not None
    assert u.grad[0, 2].item() == 0.0
    assert u.grad[0, [0, 1, 3, 4]].abs().min().item() > 0


def test_no_components_mean_a_continuous_action() -> None:
    assert isinstance(action_head((), 10.0), ContinuousHead)
    assert isinstance(action_head((4,), 10.0), DiscreteHead)
