"""Versions that see what another one has answered, and whose actions nobody gets.

They see it after the answer was made: a queue of their own, on a thread of their own. What does not
fit in is dropped and counted.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np

from app.refusals import QueueFull
from app.serving.bundle import Actor
from app.serving.live import LivePolicy
from app.serving.masks import Masks
from app.serving.passes import Forwarded
from app.serving.swap_measures import ShadowCounts, ShadowMeasures
from app.serving.traffic import Shadow
from mrq_core.spaces import Floats

# Of half of an action's range: a continuous one that is farther off is another action.
TOLERANCE = 0.05

logger = logging.getLogger(__name__)


class Mirror:
    """Used on the event loop only."""

    def __init__(
        self,
        loaded: OrderedDict[str, LivePolicy],
        load_soon: Callable[[str], None],
        measures: ShadowMeasures,
    ) -> None:
        self._loaded = loaded
        self._load_soon = load_soon
        self._measures = measures

    def show(
        self,
        shadows: Iterable[Shadow],
        policy: LivePolicy,
        rows: Floats,
        masks: Masks | None,
        forwarded: Forwarded,
    ) -> None:
        """Raises nothing: the answer was made. `rows`, (B, D), must stay as they are."""
        for each in shadows:
            counts = self._measures.of(policy.name, policy.version, each.version)
            try:
                self._show(each, counts, policy.actor, rows, masks, forwarded)
            except Exception:
                counts.dropped["failed"] += 1
                logger.exception("shadow %s:%s", policy.name, each.version)

    def _show(
        self,
        each: Shadow,
        counts: ShadowCounts,
        actor: Actor,
        rows: Floats,
        masks: Masks | None,
        forwarded: Forwarded,
    ) -> None:
        shadow = self._loaded.get(each.policy_id)
        if shadow is None:
            counts.dropped["unloaded"] += 1
            self._load_soon(each.policy_id)
            return
        self._loaded.move_to_end(each.policy_id)
        try:
            seen = shadow.shadowed.submit(rows)
        except QueueFull:
            counts.dropped["full"] += 1
            return
        seen.add_done_callback(partial(_compare, counts, actor, masks, forwarded))


def _compare(
    counts: ShadowCounts,
    actor: Actor,
    masks: Masks | None,
    forwarded: Forwarded,
    seen: asyncio.Future[Forwarded],
) -> None:
    if seen.cancelled() or seen.exception() is not None or not seen.result().is_finite:
        counts.dropped["failed"] += 1
        return
    given, other = forwarded.outputs, seen.result().outputs
    if given.shape != other.shape:  # settings changed meanwhile, to versions of another form
        counts.dropped["failed"] += 1
        return
    difference = difference_of(actor, given, other, masks)
    allowed = 0.0 if actor.codec.discrete else TOLERANCE
    counts.compared(difference, differs=difference > allowed)


def difference_of(actor: Actor, given: Floats, other: Floats, masks: Masks | None) -> float:
    """The largest of a request's; `given`, `other`: (B, A), of two policies with the same spaces.
    Of discrete actions 1 where one is another. Of continuous ones in halves of each number's
    range, which are 1 in the network's units. Without what `sample` adds."""
    if actor.codec.discrete:
        same = actor.deterministic(given, masks) == actor.deterministic(other, masks)
        return 0.0 if same.all() else 1.0
    return float(np.abs(np.clip(given, -1.0, 1.0) - np.clip(other, -1.0, 1.0)).max())
