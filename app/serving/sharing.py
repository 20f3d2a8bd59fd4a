"""Which policies have short passes that threads share: busy ones, as far as there is memory.

Reading the weights is most of a short pass, and two free cores read them in less time than one.
Such passes are a second session of ONNX Runtime, with all weights once more. Long passes never are
shared: they run beside the event loop, which needs the other core to receive and refuse.

Where something else needs the cores, a trainer on a small machine, the threads wait for each other:
most passes take less time, and some take milliseconds more. A policy with such passes is let go for
a while, as is one whose passes gain nothing.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.errors import DATABASE_UNAVAILABLE
from app.serving.live import LivePolicy
from app.serving.passes import ShortPasses
from store.errors import NotFound

LOOK_SECONDS = 0.5
# In that time. Opening a session takes as long as a few dozen passes.
BUSY_PASSES = 25
IDLE_PASSES = 5
# Let go if more than this part of so many passes was slow.
SLOW_PART, JUDGED_PASSES = 0.005, 400
# Not shared if they take more than this part of the time alone.
WORTHWHILE = 0.9
PAUSE_SECONDS = 60.0
# Of ONNX, beside that of the policies in memory; of the paper's size, seven.
BUDGET_BYTES = 32 << 20

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Shared:
    policy: LivePolicy
    passes: int = 0  # since it was judged
    slow: int = 0

    @property
    def waits(self) -> bool:
        return self.slow > SLOW_PART * self.passes


class Sharing:
    """Used on the event loop only; `open_shared` blocks and is not."""

    def __init__(
        self,
        loaded: Mapping[str, LivePolicy],
        open_shared: Callable[[LivePolicy], ShortPasses | None],
        budget_bytes: int = BUDGET_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loaded = loaded
        self._open = open_shared
        self._budget_bytes = budget_bytes
        self._sharing: dict[str, _Shared] = {}  # by the policy's id
        self._not_before: dict[str, float] = {}  # by the clock
        self._clock = clock

    async def follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        counts = {key: each.batcher.take_short_passes() for key, each in self._loaded.items()}
        for key, shared in list(self._sharing.items()):
            if self._loaded.get(key) is not shared.policy:
                self._let_go(key)
            else:
                self._judge(key, shared, *counts[key])
        for key in [key for key in self._not_before if key not in self._loaded]:
            del self._not_before[key]
        passes = {key: count for key, (count, _) in counts.items()}
        busy = [key for key, count in passes.items() if count >= BUSY_PASSES]
        for key in sorted(busy, key=passes.__getitem__, reverse=True):
            policy = self._loaded.get(key)
            if policy is not None and self._may_share(key) and self._makes_room(policy, passes):
                await self._share(policy)

    def _judge(self, key: str, shared: _Shared, passes: int, slow: int) -> None:
        shared.passes += passes
        shared.slow += slow
        if shared.passes < JUDGED_PASSES:
            return
        if shared.waits:
            self._let_go(key)
            self._pause(key)
        shared.passes = shared.slow = 0

    def _may_share(self, key: str) -> bool:
        return key not in self._sharing and self._clock() >= self._not_before.get(key, 0.0)

    def _makes_room(self, policy: LivePolicy, passes: Mapping[str, int]) -> bool:
        """Lets those go that are idle by now, if that is enough."""
        idle = [key for key in self._sharing if passes.get(key, 0) < IDLE_PASSES]
        sizes = {key: each.policy.size_bytes for key, each in self._sharing.items()}
        free = self._budget_bytes - sum(sizes.values())
        if free + sum(sizes[key] for key in idle) < policy.size_bytes:
            return False
        for key in idle:
            if free < policy.size_bytes:
                free += sizes[key]
                self._let_go(key)
        return True

    def _let_go(self, key: str) -> None:
        self._sharing.pop(key).policy.batcher.share(None)

    def _pause(self, key: str) -> None:
        self._not_before[key] = self._clock() + PAUSE_SECONDS

    async def _share(self, policy: LivePolicy) -> None:
        """Whatever becomes of it, the policy acts."""
        try:
            shared = await asyncio.to_thread(self._open, policy)
        except (NotFound, MemoryError, *DATABASE_UNAVAILABLE):
            self._pause(policy.id)
            return
        except Exception:
            logger.exception("the passes of policy %s are not shared", policy.id)
            shared = None
        if shared is None:
            self._not_before[policy.id] = math.inf
        elif shared.cost.seconds(1) > WORTHWHILE * policy.batcher.own.cost.seconds(1):
            self._pause(policy.id)
        else:
            policy.batcher.share(shared)
            self._sharing[policy.id] = _Shared(policy)
