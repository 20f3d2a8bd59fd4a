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
# An answer is no place for a thousand dimensions.
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
        """One for each observation that is outside."""
        return [
            self._told(f"observations[{index}]" if is_batch else "observation", row, found)
            for index, (row, found) in enumerate(zip(rows, outside, strict=True))
            if found.any()
        ]

    def _told(self, name: str, row: Floats, found: NDArray[np.bool_]) -> str:
        dimensions = np.flatnonzero(found)
        told = "; ".join(
            f"{index} is {row[index]:.6g}, seen {self.low[index]:.6g} to {self.high[index]:.6g}"
            for index in dimensions[:MAX_TOLD]
        )
        more = f"; and {len(dimensions) - MAX_TOLD} more" if len(dimensions) > MAX_TOLD else ""
        return f"{name} is outside of what was seen in training, by dimension: {told}{more}"


def seen_range(manifest: Mapping[str, Any]) -> SeenRange | None:
    seen = manifest.get("seen")
    if seen is None:
        return None
    return SeenRange(np.array(seen["low"], np.float32), np.array(seen["high"], np.float32))
