"""Learning curves as SVG, readable on light and dark pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 32, 40
# Okabe-Ito: told apart by colour-blind readers too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 2")
LABEL_HEIGHT = 12


@dataclass(frozen=True)
class Curve:
    label: str
    points: Sequence[tuple[int, float]]  # (step, return)


@dataclass(frozen=True)
class Whisker:
    """Somebody else's result at one step, with its spread."""

    step: int
    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class Axes:
    """From steps and returns to pixels; y grows downwards."""

    last: int
    low: float
    high: float

    def x(self, step: float) -> float:
        return LEFT + step / self.last * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return TOP + (self.high - value) / ((self.high - self.low) or 1) * (HEIGHT - TOP - BOTTOM)

    def label(self, value: float) -> str:
        number = f"{value:.0f}" if self.high - self.low >= 10 else f"{value:.2f}"
        y = self.y(value) + 4
        return f'<text x="{LEFT - 6}" y="{y:.1f}" text-anchor="end">{number}</text>'


def draw(
    title: str,
    curves: Sequence[Curve],
    *,
    wanted: float | None = None,
    whiskers: Sequence[Whisker] = (),
) -> str:
    """`wanted` is a dotted line across, each whisker a grey bar with a dot at its middle."""
    values = [value for curve in curves for _, value in curve.points]
    values += [end for whisker in whiskers for end in (whisker.low, whisker.high)]
    lines = [] if wanted is None else [wanted]
    last = max(step for curve in curves for step, _ in curve.points)
    axes = Axes(last, min(values + lines), max(values + lines))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        '<g font-family="sans-serif" font-size="12">',
        f'<text x="{LEFT}" y="18">{escape(title)}</text>',
        *[_across(axes, value) for value in lines],
        *_labels(axes, lines),
        *[_whisker(axes, whisker) for whisker in whiskers],
        *[_curve(axes, index, curve) for index, curve in enumerate(curves)],
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 24}" text-anchor="end">{last} steps</text>',
    ]
    return "\n".join([*parts, "</g></svg>"]) + "\n"


def _across(axes: Axes, value: float) -> str:
    path = f"M{axes.x(0):.1f} {axes.y(value):.1f}H{axes.x(axes.last):.1f}"
    return f'<path d="{path}" stroke="#888" stroke-dasharray="3 3"/>'


def _labels(axes: Axes, lines: Sequence[float]) -> list[str]:
    """Of the lines across, and of the ends where these leave room."""
    free = [
        end
        for end in (axes.low, axes.high)
        if all(abs(axes.y(end) - axes.y(line)) >= LABEL_HEIGHT for line in lines)
    ]
    return [axes.label(value) for value in [*lines, *free]]


def _whisker(axes: Axes, whisker: Whisker) -> str:
    x, middle = axes.x(whisker.step), axes.y(whisker.middle)
    low, high = axes.y(whisker.low), axes.y(whisker.high)
    ends = f"M{x - 6:.1f} {low:.1f}h12M{x - 6:.1f} {high:.1f}h12"
    return (
        f'<path d="M{x:.1f} {low:.1f}V{high:.1f}{ends}" stroke="#777" stroke-width="3"/>'
        f'<circle cx="{x:.1f}" cy="{middle:.1f}" r="4" fill="#777"/>'
    )


def _curve(axes: Axes, index: int, curve: Curve) -> str:
    colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
    style = f'stroke="{colour}" stroke-dasharray="{dash}" stroke-width="2"'
    path = "L".join(f"{axes.x(step):.1f} {axes.y(value):.1f}" for step, value in curve.points)
    x = LEFT + 90 * index
    return "\n".join(
        [
            f'<path d="M{path}" fill="none" {style}/>',
            f'<path d="M{x} {HEIGHT - 8}h20" fill="none" {style}/>',
            f'<text x="{x + 26}" y="{HEIGHT - 4}">{escape(curve.label)}</text>',
        ]
    )
