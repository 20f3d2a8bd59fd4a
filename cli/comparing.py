"""Jobs and groups side by side, in the terminal."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from cli.server import ask_server

PATH = "/compare"


def ask(url: str, key: str, ids: Sequence[str], target: float | None) -> dict[str, Any]:
    """What the server answers. SetupError with its words if it refuses."""
    asked = {"ids": ",".join(ids)} | ({} if target is None else {"target": str(target)})
    return ask_server(
        url,
        key,
        lambda client: client.get(PATH, params=asked),
        wanted=200,
        failed="nothing to compare",
    )


def as_json(found: dict[str, Any]) -> str:
    return json.dumps(found, indent=1)


def table(found: dict[str, Any]) -> Iterator[str]:
    """One line for each side, under a heading; fields have tabs between them."""
    yield "\t".join(
        ["id", "name", "algorithm", "jobs", f"IQM at {found['step']}", "reached", "improvement"]
    )
    for side in found["sides"]:
        end, reached = side["at_end"], side["reached"]
        cells = [side["id"], side["name"], side["algorithm"], str(side["jobs"])]
        cells.append("-" if end is None else _interval(end["iqm"]))
        cells.append("-" if reached is None else _reached(reached, side["jobs"]))
        better = side["improvement"]
        own = side["id"] == found["baseline"]
        cells.append("-" if own or better is None else _interval(better))
        yield "\t".join(cells)


def curves(found: dict[str, Any]) -> Iterator[str]:
    """All points, for a spreadsheet."""
    yield "id,step,n,iqm,low,high"
    for side in found["sides"]:
        for point in side["curve"]:
            iqm = point["iqm"]
            ends = ["" if iqm[end] is None else str(iqm[end]) for end in ("low", "high")]
            yield ",".join(map(str, [side["id"], point["step"], point["n"], iqm["value"], *ends]))


def _interval(estimated: dict[str, Any]) -> str:
    value, low, high = (estimated[key] for key in ("value", "low", "high"))
    if low is None:
        return _short(value)
    return f"{_short(value)} [{_short(low)}, {_short(high)}]"


def _reached(reached: dict[str, Any], jobs: int) -> str:
    median = "" if reached["median"] is None else f", median {reached['median']:.10g}"
    return f"{reached['n']} of {jobs}{median}"


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
