"""The return curve as SVG shapes, for a browser without JavaScript. In pixels of the view box."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from app.pages.curve import Curve, ends_of

WIDTH, HEIGHT = 720, 280
LEFT, RIGHT, TOP, BOTTOM = 64, 708, 12, 250

Place = Callable[[float], float]


@dataclass(frozen=True, kw_only=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Drawing:
    mean: str
    band: str
    episodes: str
    dots: Sequence[tuple[float, float]]
    best: tuple[float, float] | None
    checkpoints: Sequence[float]
    steps: Sequence[Tick]
    returns: Sequence[Tick]


def draw(curve: Curve) -> Drawing | None:
    """None where there is nothing to draw yet."""
    measured = curve.measured
    values = [value for e in measured for value in ends_of(e)]
    values += [value for _, value in curve.episodes]
    if not values:
        return None
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 1, high + 1
    x = scale(0, curve.total_steps, LEFT, RIGHT)
    y = value_scale(low, high)
    dots = [(x(e.step), y(e.return_mean)) for e in measured]
    upper = [(x(e.step), y(ends_of(e)[1])) for e in measured]
    lower = [(x(e.step), y(ends_of(e)[0])) for e in measured]
    return Drawing(
        mean=points(dots),
        band=points([*upper, *reversed(lower)]),
        episodes=points((x(step), y(value)) for step, value in curve.episodes),
        dots=dots,
        best=None if curve.best is None else (x(curve.best.step), y(curve.best.return_mean)),
        checkpoints=[x(step) for step in curve.checkpoints],
        steps=step_ticks(curve.total_steps),
        returns=value_ticks(low, high),
    )


def step_ticks(total_steps: int) -> list[Tick]:
    x = scale(0, total_steps, LEFT, RIGHT)
    return [Tick(at=x(v), label=compact(v)) for v in nice_ticks(0, total_steps)]


def value_ticks(low: float, high: float) -> list[Tick]:
    y = value_scale(low, high)
    minus = "\N{MINUS SIGN}"
    return [Tick(at=y(v), label=f"{v:,g}".replace("-", minus)) for v in nice_ticks(low, high)]


def nice_ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers between `low` and `high`: 1, 2 or 5 times a power of ten apart."""
    raw = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def compact(steps: float) -> str:
    for limit, unit in ((1_000_000, "M"), (1000, "k")):
        if steps >= limit:
            return f"{steps / limit:g}{unit}"
    return f"{steps:g}"


def value_scale(low: float, high: float) -> Place:
    return scale(low, high, BOTTOM - 6, TOP + 6)


def scale(low: float, high: float, first: float, last: float) -> Place:
    return lambda value: round(first + (value - low) / (high - low) * (last - first), 1)


def points(pairs: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in pairs)
