"""The figures of a run as Markdown: medians over its rounds, and of ratios within a round."""

import os
import platform
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median

FLOOR = "floor: raw ASGI echo"

CONNECTIONS = (1, 16)


@dataclass(frozen=True)
class Turn:
    """`size`: connections; of "bare", observations in a pass. `rate`: answers a second; of "bare"
    and "batch", observations."""

    name: str
    size: int
    rate: float
    p50_us: float = 0.0
    p99_us: float = 0.0


@dataclass
class Run:
    commit: str
    begun: datetime
    load_before: float
    load_after: float = 0.0
    rounds: list[list[Turn]] = field(default_factory=list)

    def values(self, name: str, size: int, what: str) -> list[float]:
        """Of each round one."""
        found = [
            [getattr(turn, what) for turn in turns if (turn.name, turn.size) == (name, size)]
            for turns in self.rounds
        ]
        return [value for (value,) in found]

    def names(self, size: int) -> list[str]:
        special = ("bare", "batch")
        return [t.name for t in self.rounds[0] if t.size == size and t.name not in special]

    def ratio(self, of: tuple[str, int], to: tuple[str, int], what: str) -> float:
        pairs = zip(self.values(*of, what), self.values(*to, what), strict=True)
        return median(a / b for a, b in pairs)


def render(run: Run, seconds: float) -> str:
    lines = [
        "# An action, beside an echo and beside other servers",
        "",
        "Written by `make bench-serving`; one run, all taking turns.",
        "",
        f"{run.begun:%Y-%m-%d %H:%M} UTC, commit {run.commit}, {processor()}, {os.cpu_count()} "
        f"cores, {platform.python_implementation()} {platform.python_version()}. "
        f"{len(run.rounds)} rounds of {seconds} s a turn after one to warm up; medians, and for "
        f"ratios medians of the ratios within a round. Load average before "
        f"{run.load_before:.1f}, after {run.load_after:.1f}.",
    ]
    for size in CONNECTIONS:
        lines += ["", f"## {size} connection{'s' if size > 1 else ''}", "", *_servers(run, size)]
    lines += ["", "## ONNX Runtime alone, and batches of 128 in binary", "", *_batches(run)]
    return "\n".join(lines) + "\n"


def _servers(run: Run, size: int) -> list[str]:
    rows = [
        "| server | answers/s | p50 us | p99 us | of the floor's rate | of the floor's p50 "
        "| our JSON's rate is |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in run.names(size):
        rate, p50, p99 = (
            median(run.values(name, size, what)) for what in ("rate", "p50_us", "p99_us")
        )
        of_floor = run.ratio((name, size), (FLOOR, size), "rate")
        of_p50 = run.ratio((name, size), (FLOOR, size), "p50_us")
        times = run.ratio(("ours, JSON", size), (name, size), "rate")
        rows.append(
            f"| {name} | {rate:,.0f} | {p50:,.0f} | {p99:,.0f} | {of_floor:.2f} | {of_p50:.2f} "
            f"| {times:.1f} times that |"
        )
    return rows


def _batches(run: Run) -> list[str]:
    rows = ["| | observations/s | of the bare loop |", "|---|---|---|"]
    sizes = sorted({turn.size for turn in run.rounds[0] if turn.name == "bare"})
    largest = ("bare", sizes[-1])
    for size in sizes:
        rate = median(run.values("bare", size, "rate"))
        rows.append(f"| bare loop, {size} in a pass | {rate:,.0f} | |")
    for size in sorted({turn.size for turn in run.rounds[0] if turn.name == "batch"}):
        rate, share = (
            median(run.values("batch", size, "rate")),
            run.ratio(("batch", size), largest, "rate"),
        )
        rows.append(f"| ours, {size} connections | {rate:,.0f} | {share:.2f} |")
    return rows


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
