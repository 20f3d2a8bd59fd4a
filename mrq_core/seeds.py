"""Every stream of chance in a run has a seed of its own, from the run's."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np

# The position is part of the seed: append, never reorder.
Stream: TypeAlias = Literal[
    "weights",
    "noise",
    "warmup",
    "replay",
    "episode",
    "evaluation",
    "evaluation-noise",
    "evaluation-chance",
]
_STREAMS: tuple[Stream, ...] = get_args(Stream)


def derive_seed(seed: int, stream: Stream, index: int = 0) -> int:
    """31 bits: what every environment accepts as a seed."""
    sequence = np.random.SeedSequence([seed, _STREAMS.index(stream), index])
    return int(sequence.generate_state(1)[0]) >> 1
