"""The policies that are in memory, by what names them."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from app.refusals import PolicyBroken
from app.serving.live import LivePolicy as LivePolicy
from app.serving.live import Opener
from app.serving.lookup import look_up
from app.serving.masks import Masks
from app.serving.meanings import Meaning, Meanings, drawn_of
from app.serving.measures import Measures
from app.serving.memory import Memory
from app.serving.once import Once
from app.serving.passes import Forwarded
from app.serving.shadow import Mirror
from app.serving.swap_measures import ShadowMeasures, SwapMeasures
from app.serving.world import LiveWorld
from mrq_core.spaces import Floats
from store.database import Database
from store.errors import NotFound

BUDGET_BYTES = 512 << 20  # of ONNX; a policy of the paper's size has 4 MB
MAX_BATCH = 256


class LoadedPolicies:
    """Used on the event loop only."""

    def __init__(
        self,
        database: Database,
        budget_bytes: int = BUDGET_BYTES,
        max_batch: int = MAX_BATCH,
        pass_threads: int = 1,
    ) -> None:
        # For the passes that are too long for the event loop: of all policies, one at a time.
        self._thread = ThreadPoolExecutor(1, "forward")
        self._shadow_thread = ThreadPoolExecutor(1, "shadow")
        self.measures, self.swaps, self._shadows = Measures(), SwapMeasures(), ShadowMeasures()
        self._opener = Opener(
            database, self.measures, max_batch, self._thread, self._shadow_thread, pass_threads
        )
        self._memory = Memory(budget_bytes)
        self._loaded = self._memory.policies
        self._broken: dict[str, str] = {}  # why, by id
        self._once = Once()
        self.meanings = Meanings(
            partial(look_up, database), self._ready, self._loaded.__contains__, self.swaps.count
        )
        self._table = self.meanings.table
        self.traffic = self.meanings.traffic
        # Held while a change is committed and followed: they are followed in their order.
        self.changing = asyncio.Lock()
        self._mirror = Mirror(self._loaded, self._load_soon, self._shadows)

    def __len__(self) -> int:
        return len(self._loaded)

    async def get(self, reference: str) -> LivePolicy:
        """Of a bare name the newest. Raises `NotFound` or `PolicyBroken`."""
        return await self._found(reference, lambda meaning: meaning.policy_id)

    async def acting(self, reference: str) -> LivePolicy:
        """The one whose action a request gets: of a bare name one of its traffic's, if it has that.
        Raises `NotFound` or `PolicyBroken`."""
        return await self._found(reference, drawn_of)

    async def _found(self, reference: str, choose: Callable[[Meaning], str]) -> LivePolicy:
        meaning = await self.meanings.of(reference)
        try:
            return await self._ready(choose(meaning))
        except NotFound:  # another server has deleted it since
            self.meanings.forget(reference)
        return await self._ready(choose(await self.meanings.of(reference)))

    def at_hand(self, reference: str) -> LivePolicy | None:
        """What `acting` would give without waiting; None where it has to look or refuse."""
        meaning = self._table.get(reference)
        if meaning is None:
            return None
        now = time.monotonic()
        if now >= meaning.fresh_until and not self.meanings.is_believed(reference, meaning, now):
            return None
        policy_id = meaning.policy_id if meaning.split is None else meaning.split.draw()
        policy = self._loaded.get(policy_id)
        if policy is not None:
            self._loaded.move_to_end(policy_id)
        return policy

    async def of_episode(self, reference: str, episode: str, drawn: LivePolicy) -> LivePolicy:
        """With traffic settings the episode's own; else `drawn`."""
        split = self.traffic.get(reference)
        if split is None:
            return drawn
        policy = await self._ready(split.of_episode(episode))
        # Settings that changed after the observation was read may name versions of another form.
        same = policy.actor.observation_space.flat_size == drawn.actor.observation_space.flat_size
        return policy if same else drawn

    def mirror(
        self,
        reference: str,
        policy: LivePolicy,
        rows: Floats,
        masks: Masks | None,
        forwarded: Forwarded,
    ) -> None:
        """Shows to the name's shadows what `policy` has answered. Raises nothing."""
        split = self.traffic.get(reference)
        if split is not None and split.shadows:
            self._mirror.show(split.shadows, policy, rows, masks, forwarded)

    async def world_of(self, policy: LivePolicy) -> LiveWorld | None:
        """Its model, or None if it was exported without. Raises `PolicyBroken`."""
        if not policy.has_model:
            return None
        if policy.id in self._memory.worlds:
            return self._memory.worlds[policy.id]
        world: LiveWorld | None = await self._once.do(
            f"model {policy.id}", partial(self._load_world, policy)
        )
        return world

    def count_failure(self, reference: str, status: int, policy: LivePolicy | None = None) -> None:
        """`policy`: the one that was asked, if it came to that; a name whose traffic is divided
        does not say it."""
        meaning = self._table.get(reference)
        if policy is None and meaning is not None and meaning.split is None:
            policy = self._loaded.get(meaning.policy_id)
        counted = self.measures.lost if policy is None else policy.measures.codes
        counted[status] += 1

    def metrics(self) -> str:
        loaded = self._loaded.values()
        pending = {(each.name, each.version): each.batcher.rows_waiting for each in loaded}
        seconds = [(each.name, each.version, each.load_seconds) for each in loaded]
        more = [*self.swaps.lines(seconds), *self._shadows.lines(), ""]
        return self.measures.text(pending) + "\n".join(more)

    def close(self) -> None:
        self._thread.shutdown(wait=False)
        self._shadow_thread.shutdown(wait=False)

    async def moved(self, reference: str) -> None:
        """For a change that this very server has committed: when it returns, the next action is
        the new version's. Until then, the old one acts."""
        await self.meanings.moved(reference)

    async def prepare(self, reference: str) -> None:
        """For what is about to be changed to mean this, a fixed version: has it loaded and checked.
        Asks the database only for what is not in memory. Raises `NotFound` or `PolicyBroken`."""
        meaning = self._table.get(reference)
        if meaning is None or meaning.policy_id not in self._loaded:
            await self.get(reference)

    def change(self, reference: str, policy_id: str | None) -> None:
        """For an alias that this very server has moved to a policy that is in memory, or deleted:
        from now on it is so."""
        self.meanings.change(reference, policy_id)

    def forget_policy(self, policy_id: str) -> None:
        """For the deletion that this very server made."""
        self.meanings.forget_policy(policy_id)
        self._memory.remove(policy_id)

    async def _ready(self, policy_id: str) -> LivePolicy:
        if policy_id in self._broken:
            raise PolicyBroken(self._broken[policy_id], param="reference")
        policy = self._loaded.get(policy_id)
        if policy is None:
            # The one that was loaded, even if another load has pushed it out of memory by now.
            policy = await self._once.do(f"load {policy_id}", partial(self._load, policy_id))
        if policy_id in self._loaded:
            self._loaded.move_to_end(policy_id)
        assert policy is not None
        return policy

    def _load_soon(self, policy_id: str) -> None:
        if policy_id not in self._broken:
            self._once.begin(f"load {policy_id}", partial(self._load, policy_id))

    async def _load(self, policy_id: str) -> LivePolicy:
        try:
            policy = await asyncio.to_thread(self._opener.policy, policy_id)
        except PolicyBroken as refusal:
            self._broken[policy_id] = refusal.message
            raise
        self._memory.add(policy)
        return policy

    async def _load_world(self, policy: LivePolicy) -> LiveWorld | None:
        world = await asyncio.to_thread(self._opener.world, policy)
        self._memory.add_world(policy.id, world)
        return world
