"""Which policies have short passes that threads share: those that are asked most just now.

Reading the weights is most of a short pass, and two cores read them in less time than one. Such a
pass is a second session of ONNX Runtime, with all weights once more, so few policies have one. Long
passes never do: they run beside the event loop, which needs the other core to receive and refuse.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from app.errors import DATABASE_UNAVAILABLE
from app.serving.live import LivePolicy
from app.serving.passes import ShortPasses
from store.errors import NotFound

LOOK_SECONDS = 0.5
# In that time. Opening a session takes as long as a few dozen passes.
BUSY_PASSES = 25
IDLE_PASSES = 5
# Of ONNX; of the paper's size, seven.
BUDGET_BYTES = 32 << 20

logger = logging.getLogger(__name__)


class Sharing:
    """Used on the event loop only; `open_shared` blocks and is not."""

    def __init__(
        self,
        loaded: Mapping[str, LivePolicy],
        open_shared: Callable[[LivePolicy], ShortPasses | None],
        budget_bytes: int = BUDGET_BYTES,
    ) -> None:
        self._loaded = loaded
        self._open = open_shared
        self._budget_bytes = budget_bytes
        self._sharing: dict[str, LivePolicy] = {}
        self._never: set[str] = set()

    async def follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        passes = {key: each.batcher.take_short_passes() for key, each in self._loaded.items()}
        for key, policy in list(self._sharing.items()):
            if self._loaded.get(key) is not policy:
                self._let_go(key)
        busy = [key for key, count in passes.items() if count >= BUSY_PASSES]
        for key in sorted(busy, key=passes.__getitem__, reverse=True):
            found = self._loaded.get(key)
            if found is not None and self._may_share(found, passes):
                await self._share(found)

    def _may_share(self, policy: LivePolicy, passes: Mapping[str, int]) -> bool:
        """Those that are idle by now make room."""
        if policy.id in self._sharing or policy.id in self._never:
            return False
        for key in [key for key in self._sharing if passes.get(key, 0) < IDLE_PASSES]:
            if not self._has_room(policy):
                self._let_go(key)
        return self._has_room(policy)

    def _has_room(self, policy: LivePolicy) -> bool:
        used = sum(each.size_bytes for each in self._sharing.values())
        return used + policy.size_bytes <= self._budget_bytes

    def _let_go(self, key: str) -> None:
        self._sharing.pop(key).batcher.share(None)

    async def _share(self, policy: LivePolicy) -> None:
        """Whatever becomes of it, the policy acts."""
        try:
            shared = await asyncio.to_thread(self._open, policy)
        except (NotFound, *DATABASE_UNAVAILABLE):
            return  # deleted since, or tried again at the next look
        except Exception:
            logger.exception("the passes of policy %s are not shared", policy.id)
            shared = None
        if shared is None:
            self._never.add(policy.id)
        else:
            policy.batcher.share(shared)
            self._sharing[policy.id] = policy
