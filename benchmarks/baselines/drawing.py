"""The figure: a panel for each task, in it a line and its band for each algorithm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from benchmarks.baselines.tasks import Task
from benchmarks.learning.drawing import COLOURS, DASHES
from store.curves import GridPoint

COLUMNS = 3
PANEL_WIDTH, PANEL_HEIGHT = 320, 220
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 30, 30
HEADING, LEGEND = 26, 30
ORDER = ("mrq", "dqn", "q_learning", "td3", "sac")
NAMES = {"mrq": "MR.Q", "dqn": "DQN", "q_learning": "Q-learning", "td3": "TD3", "sac": "SAC"}

Lines = Mapping[str, Sequence[GridPoint]]


@dataclass(frozen=True)
class Panel:
    """From steps and returns to pixels; y grows downwards. What is below the task's lowest return
    lies on the edge."""

    task: Task
    x0: float
    y0: float
    high: float

    def at(self, step: float, value: float) -> str:
        x = self.x0 + LEFT + step / self.task.total_steps * (PANEL_WIDTH - LEFT - RIGHT)
        share = (self.high - max(value, self.task.lowest)) / (self.high - self.task.lowest)
        y = self.y0 + TOP + share * (PANEL_HEIGHT - TOP - BOTTOM)
        return f"{x:.1f} {y:.1f}"


def draw(title: str, panels: Sequence[tuple[Task, Lines]]) -> str:
    rows = -(-len(panels) // COLUMNS)
    width, height = COLUMNS * PANEL_WIDTH, HEADING + rows * PANEL_HEIGHT + LEGEND
    used = [name for name in ORDER if any(name in lines for _, lines in panels)]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        '<g font-family="sans-serif" font-size="12">',
        f'<text x="{LEFT}" y="18" font-size="14">{escape(title)}</text>',
    ]
    for index, (task, lines) in enumerate(panels):
        row, column = divmod(index, COLUMNS)
        parts += _panel(task, lines, column * PANEL_WIDTH, HEADING + row * PANEL_HEIGHT)
    for index, name in enumerate(used):
        x, y = LEFT + index * 130, height - 12
        parts.append(f'<path d="M{x} {y}h24" fill="none" {_style(name)}/>')
        parts.append(f'<text x="{x + 30}" y="{y + 4}">{NAMES[name]}</text>')
    return "\n".join([*parts, "</g></svg>"]) + "\n"


def _panel(task: Task, lines: Lines, x0: float, y0: float) -> list[str]:
    points = [point for line in lines.values() for point in line]
    ends = [point.iqm.value if point.iqm.high is None else point.iqm.high for point in points]
    panel = Panel(task, x0, y0, max([task.reached, *ends]))
    across = f"M{panel.at(0, task.reached)}L{panel.at(task.total_steps, task.reached)}"
    bottom = panel.at(0, task.lowest).split()
    right = panel.at(task.total_steps, task.lowest).split()[0]
    top = panel.at(0, panel.high).split()[1]
    text = 'text-anchor="end" font-size="11"'
    parts = [
        f'<text x="{x0 + LEFT}" y="{y0 + 20}">{escape(task.name)}</text>',
        f'<path d="M{bottom[0]} {top}V{bottom[1]}H{right}" fill="none" stroke="#999"/>',
        f'<path d="{across}" stroke="#999" stroke-dasharray="3 3"/>',
        f'<text x="{x0 + LEFT - 5}" y="{bottom[1]}" {text}>{task.lowest:g}</text>',
        f'<text x="{x0 + LEFT - 5}" y="{float(top) + 8}" {text}>{panel.high:.3g}</text>',
        f'<text x="{right}" y="{float(bottom[1]) + 14}" {text}>{task.total_steps:,} steps</text>',
    ]
    for name, line in lines.items():
        parts += _line(panel, name, line)
    return parts


def _line(panel: Panel, name: str, points: Sequence[GridPoint]) -> list[str]:
    parts = []
    sure = [(p.step, p.iqm.low, p.iqm.high) for p in points]
    known = [(s, low, high) for s, low, high in sure if low is not None and high is not None]
    colour = COLOURS[ORDER.index(name)]
    if known:
        there = "L".join(panel.at(step, high) for step, _, high in known)
        back = "L".join(panel.at(step, low) for step, low, _ in reversed(known))
        parts.append(f'<path d="M{there}L{back}Z" fill="{colour}" fill-opacity="0.15"/>')
    path = "L".join(panel.at(point.step, point.iqm.value) for point in points)
    parts.append(f'<path d="M{path}" fill="none" {_style(name)}/>')
    return parts


def _style(name: str) -> str:
    index = ORDER.index(name)
    return f'stroke="{COLOURS[index]}" stroke-dasharray="{DASHES[index]}" stroke-width="2"'
