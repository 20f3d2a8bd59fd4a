"""Learning curves as SVG, readable on light and dark pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 32, 40
# Okabe-Ito: told apart by colour-blind readers too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 2")


@dataclass(frozen=True)
class Curve:
    label: str
    points: Sequence[tuple[int, float]]  # (step, return)


def draw(title: str, curves: Sequence[Curve], *, wanted: float) -> str:
    values = [value for curve in curves for _, value in curve.points] + [wanted]
    low, high = min(values), max(values)
    last = max(step for curve in curves for step, _ in curve.points)

    def place(step: float, value: float) -> tuple[float, float]:
        x = LEFT + step / last * (WIDTH - LEFT - RIGHT)
        y = TOP + (high - value) / ((high - low) or 1) * (HEIGHT - TOP - BOTTOM)
        return x, y

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        '<g font-family="sans-serif" font-size="12">',
        f'<text x="{LEFT}" y="18">{escape(title)}</text>',
    ]
    x0, y = place(0, wanted)
    x1, _ = place(last, wanted)
    parts.append(f'<path d="M{x0:.1f} {y:.1f}H{x1:.1f}" stroke="#888" stroke-dasharray="3 3"/>')
    for value in (low, wanted, high):
        _, y = place(0, value)
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.0f}</text>')
    for index, curve in enumerate(curves):
        colour, dash = COLOURS[index % len(COLOURS)], DASHES[index % len(DASHES)]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in (place(*p) for p in curve.points))
        style = f'stroke="{colour}" stroke-dasharray="{dash}" stroke-width="2"'
        parts.append(f'<path d="M{path}" fill="none" {style}/>')
        x = LEFT + 90 * index
        parts.append(f'<path d="M{x} {HEIGHT - 8}h20" fill="none" {style}/>')
        parts.append(f'<text x="{x + 26}" y="{HEIGHT - 4}">{escape(curve.label)}</text>')
    parts.append(
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 24}" text-anchor="end">{last} steps</text>'
    )
    return "\n".join([*parts, "</g></svg>"]) + "\n"
