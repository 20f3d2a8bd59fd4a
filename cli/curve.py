"""A learning curve for the terminal."""

from collections.abc import Sequence

_LEVELS = " ▁▂▃▄▅▆▇█"


def draw_curve(points: Sequence[tuple[int, float]], *, height: int = 6) -> list[str]:
    """One column of blocks per point, four characters wide; values at the left, steps below."""
    if not points:
        return ["(no evaluations)"]
    values = [value for _, value in points]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    eighths = [1 + round((value - low) / span * (height * 8 - 1)) for value in values]
    lines = []
    for row in range(height - 1, -1, -1):
        label = high if row == height - 1 else low if row == 0 else None
        cells = "".join(f" {_LEVELS[max(0, min(8, filled - row * 8))] * 3}" for filled in eighths)
        lines.append(f"{'' if label is None else f'{label:.1f}':>9} |{cells}")
    marks = "".join(f"{_short(step):>4}" for step, _ in points)
    return [*lines, f"{'step':>9} |{marks}"]


def _short(step: int) -> str:
    return f"{step // 1000}k" if step >= 1000 and step % 1000 == 0 else str(step)
