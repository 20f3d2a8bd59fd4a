"""Whether a stranger's space is small, asked of its JSON before anything is made of it: bounds that
are all alike are one number there, and as many as the shape says once they are read."""

import math
from collections.abc import Iterator
from typing import Any

from store.sizes import more_than

# Of numpy's arrays.
MOST_DIMS = 32
NUMBER_TYPES = frozenset(
    {"bool", "float16", "float32", "float64"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)


class Misfit(Exception):
    def __init__(self, what: str, allowed: str) -> None:
        super().__init__(what)
        self.what = what
        self.allowed = allowed


def require_small(space: Any, most: int) -> None:
    """`most`: numbers in all shapes of it. What is no space at all passes: its reader says so
    better."""
    if sum(_sizes(space, most)) > most:
        raise Misfit("it is too large", f"shapes of {most} numbers in all")


def _sizes(space: Any, most: int) -> Iterator[int]:
    if not isinstance(space, dict):
        return
    dtype = space.get("dtype", "int64")
    if not isinstance(dtype, str) or dtype not in NUMBER_TYPES:
        raise Misfit(f"dtype={dtype!s:.40} is no number type", ", ".join(sorted(NUMBER_TYPES)))
    shape = space.get("shape")
    if isinstance(shape, list) and all(type(size) is int for size in shape):
        if len(shape) > MOST_DIMS:
            raise Misfit(f"shape has {len(shape)} sizes", f"{MOST_DIMS} at most")
        if any(size < 1 for size in shape):
            raise Misfit(f"shape={shape!s:.40} has a size below 1", "sizes from 1")
        if more_than(shape, most):
            raise Misfit(f"shape={shape!s:.40} is too large", f"{most} numbers at most")
        yield math.prod(shape)
    parts = space.get("spaces")
    for part in parts if isinstance(parts, list) else ():
        yield from _sizes(part[-1] if isinstance(part, list) and part else part, most)
