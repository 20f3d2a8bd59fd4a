"""Which rows are learnt from, which are looked at meanwhile, and which are kept for the end."""

from __future__ import annotations

from dataclasses import dataclass

# Fewer say nothing, and an episode needs some.
MIN_SPLIT_ROWS = 10


class SplitRefused(ValueError):
    """A split would be left with too little."""


@dataclass(frozen=True, kw_only=True)
class Splits:
    """In the order of time. Between two of them the embargo's rows are in none."""

    train: range
    validation: range
    test: range


def split(rows: int, *, validation_fraction: float, test_fraction: float, embargo: int) -> Splits:
    """The embargo is taken from the end of the earlier split, so the test split is the same with
    any. Without it the last rows that were learnt from tell of the first that are tested."""
    test_start = rows - int(rows * test_fraction)
    validation_start = test_start - int(rows * validation_fraction)
    splits = Splits(
        train=range(max(0, validation_start - embargo)),
        validation=range(validation_start, max(validation_start, test_start - embargo)),
        test=range(test_start, rows),
    )
    for name in ("train", "validation", "test"):
        length = len(getattr(splits, name))
        if length < MIN_SPLIT_ROWS:
            raise SplitRefused(
                f"of {rows} rows the {name} split would have {length}, and {MIN_SPLIT_ROWS} are "
                f"needed: validation_fraction={validation_fraction}, "
                f"test_fraction={test_fraction}, embargo={embargo}"
            )
    return splits
