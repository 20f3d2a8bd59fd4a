"""The three actions, and where each leads."""

SELL, HOLD, BUY = range(3)


def position_after(action: int, position: int, *, allow_short: bool) -> int:
    """One step up or down, as far as there is one: from short to long it takes two."""
    return min(1, max(-1 if allow_short else 0, position + action - HOLD))
