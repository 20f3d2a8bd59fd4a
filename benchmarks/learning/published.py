"""The authors' published returns: `../shared/reference/mrq_published.csv`, which is not ours to
copy into the repository. Where it is missing nothing is compared."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

PUBLISHED = Path(__file__).parents[3] / "shared" / "reference" / "mrq_published.csv"


@dataclass(frozen=True)
class PublishedPoint:
    """Over the authors' seeds, at one agent step."""

    step: int
    mean: float
    std: float

    @property
    def low(self) -> float:
        return self.mean - 2 * self.std

    @property
    def high(self) -> float:
        return self.mean + 2 * self.std


def published_points(path: Path, name: str, up_to: int) -> list[PublishedPoint]:
    """Those of the environment `name`, at most at step `up_to`, in the file's order of steps."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["env"] == name]
    points = [PublishedPoint(int(r["step"]), float(r["mean"]), float(r["std"])) for r in rows]
    return [point for point in points if point.step <= up_to]
