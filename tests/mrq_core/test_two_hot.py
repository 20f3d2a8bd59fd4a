import math

import pytest
import torch

from mrq_core.two_hot import TwoHot

CPU, DOUBLE = torch.device("cpu"), torch.float64


@pytest.fixture
def two_hot() -> TwoHot:
    return TwoHot(65, 10.0, CPU, DOUBLE)


def test_the_bins_are_the_papers(two_hot: TwoHot) -> None:
    assert two_hot.bins[-1].item() == pytest.approx(math.exp(10) - 1)
    assert two_hot.bins[32:35].tolist() == pytest.approx([0, 0.36683794, 0.86824596])


def test_a_value_between_two_bins_is_shared_by_them(two_hot: TwoHot) -> None:
    first = two_hot.bins[33].item()

    code = two_hot.encode(torch.tensor([first / 4, 0.0, first], dtype=DOUBLE))

    assert code[0, 32:34].tolist() == pytest.approx([0.75, 0.25])
    assert code[1, 32].item() == code[2, 33].item() == 1
    assert code.sum(-1).tolist() == pytest.approx([1, 1, 1])


@pytest.mark.parametrize(("value", "bin_index"), [(1e30, 64), (22026.0, 64), (-1e30, 0)])
def test_a_value_beyond_the_bins_is_clamped(two_hot: TwoHot, value: float, bin_index: int) -> None:
    code = two_hot.encode(torch.tensor(value, dtype=DOUBLE))

    assert code[bin_index].item() == 1
    assert code.sum().item() == 1


def test_decoding_a_sharp_code_gives_the_value_back(two_hot: TwoHot) -> None:
    x = torch.tensor([-300.0, -0.1, 0.0, 0.5, 21000.0], dtype=DOUBLE)

    assert two_hot.decode(two_hot.encode(x).log()).tolist() == pytest.approx(x.tolist())
