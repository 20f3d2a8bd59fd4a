import pytest

from app.pages.curve import Curve
from app.pages.drawing import compact, draw, nice_ticks
from store.tables import Evaluation


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 10_000, [0, 2000, 4000, 6000, 8000, 10_000]),
        (-1300, -100, [-1000, -500]),
        (0.0, 0.9, [0.0, 0.2, 0.4, 0.6, 0.8]),
        (-1, 1, [-1.0, -0.5, 0.0, 0.5, 1.0]),
    ],
)
def test_ticks_are_round_numbers_inside_the_range(
    low: float, high: float, ticks: list[float]
) -> None:
    assert nice_ticks(low, high) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("steps", "text"), [(0, "0"), (500, "500"), (2500, "2.5k"), (10_000, "10k"), (1e6, "1M")]
)
def test_steps_are_written_short(steps: float, text: str) -> None:
    assert compact(steps) == text


def _curve(evaluations: list[Evaluation], episodes: list[tuple[int, float]]) -> Curve:
    return Curve(evaluations=evaluations, episodes=episodes, checkpoints=[100], total_steps=100)


def test_points_are_placed_between_the_edges_of_the_plot() -> None:
    """x from 64 to 708 over 0..100 steps; y from 244 (lowest) to 18 (highest)."""
    evaluation = Evaluation(step=50, returns=[0.0, 10.0], return_mean=5.0)
    drawing = draw(_curve([evaluation], [(0, 0.0), (100, 10.0)]))
    assert drawing is not None
    assert drawing.dots == [(386.0, 131.0)]
    assert drawing.band == "386,18 386,244"
    assert drawing.episodes == "64,244 708,18"
    assert drawing.best == (386.0, 131.0)
    assert drawing.checkpoints == [708.0]


def test_returns_that_are_all_equal_can_be_drawn() -> None:
    evaluation = Evaluation(step=50, returns=[7.0], return_mean=7.0)
    drawing = draw(_curve([evaluation], []))
    assert drawing is not None
    assert drawing.dots == [(386.0, 131.0)]


def test_nothing_is_drawn_before_the_first_return() -> None:
    assert draw(_curve([], [])) is None


def test_an_infinite_return_does_not_spoil_the_rest() -> None:
    bad = Evaluation(step=50, returns=[float("-inf")], return_mean=float("-inf"))
    good = Evaluation(step=100, returns=[0.0, 10.0], return_mean=5.0)
    drawing = draw(_curve([bad, good], []))
    assert drawing is not None
    assert drawing.dots == [(708.0, 131.0)]
