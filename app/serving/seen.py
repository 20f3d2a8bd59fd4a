"""Which observations lie outside of what the policy met in training: there it only guesses.

D is the network's inputs. A policy that does not say what it met - of pixels, of a baseline, of an
earlier release - has nothing outside.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrq_core.spaces import Floats

Outside = NDArray[np.bool_]  # (B, D)
# An answer is no place for a thousand of them, be it observations or dimensions.
MAX_TOLD = 8


class SeenRange:
    def __init__(self, low: Floats, high: Floats) -> None:
        """(D,) each."""
        self.low = low
        self.high = high

    def outside(self, rows: Floats) -> Outside | None:
        """None where nothing is, as it mostly is."""
        found = (rows < self.low) | (rows > self.high)
        return found if found.any() else None

    def warnings(self, rows: Floats, outside: Outside, *, is_batch: bool) -> list[str]:
        """One for each observation that is outside, and of many of them their number."""
        found = np.flatnonzero(outside.any(axis=1)).tolist()
        name = "observations[{}]" if is_batch else "observation"
        told = [
            self._told(name.format(index), rows[index], np.flatnonzero(outside[index]).tolist())
            for index in found[:MAX_TOLD]
        ]
        if len(found) > MAX_TOLD:
            told.append(f"and {len(found) - MAX_TOLD} observations more")
        return told

    def _told(self, name: str, row: Floats, dimensions: list[int]) -> str:
        told = "; ".join(
            f"{number} is {row[number]:.6g}, seen {self.low[number]:.6g} to {self.high[number]:.6g}"
            for number in dimensions[:MAX_TOLD]
        )
        more = f"; and {len(dimensions) - MAX_TOLD} more" if len(dimensions) > MAX_TOLD else ""
        return f"{name} is outside of what was seen in training, by dimension: {told}{more}"


def rows_outside(outside: Outside) -> int:
    return int(np.count_nonzero(outside.any(axis=1)))


def seen_range(manifest: Mapping[str, Any]) -> SeenRange | None:
    seen = manifest.get("seen")
    if seen is None:
        return None
    return SeenRange(np.array(seen["low"], np.float32), np.array(seen["high"], np.float32))
