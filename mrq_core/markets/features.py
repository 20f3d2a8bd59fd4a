"""What an agent sees of a series, scaled by what its training rows have shown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mrq_core.markets.series import PRICES, Series, Values

# The training rows lie in [0, 1]. Later ones may leave it, by one range on either side.
LOWEST, HIGHEST = -1.0, 2.0

Frames = NDArray[np.float32]


def scaled_features(series: Series, train: range, *, relative: bool) -> Frames:
    """(T, N): min-max scaled, with the lowest and highest of the training rows, and clipped.

    A row is made of itself and the one before it, and of the training rows' two numbers for each
    column: of no later row.
    """
    raw = _relative(series) if relative else series.values
    # The first row has none before it.
    learnt = raw[train.start + 1 : train.stop]
    low, high = learnt.min(axis=0), learnt.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    scaled: Frames = np.clip((raw - low) / span, LOWEST, HIGHEST).astype(np.float32)
    return scaled


def _relative(series: Series) -> Values:
    """Prices as log ratios to the close before, the volume as its log change: a level that the
    training rows have never seen tells nothing. Further columns stay as they are."""
    before = np.concatenate([series.of("close")[:1], series.of("close")[:-1]])
    prices = [np.log(series.of(price) / before) for price in PRICES]
    volume = np.log1p(series.of("volume"))
    change = np.diff(volume, prepend=volume[:1])
    return np.column_stack([*prices, change, series.features])
