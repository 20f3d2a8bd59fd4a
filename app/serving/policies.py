"""The policies that are in memory, and which version a name means just now."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from app.errors import DATABASE_UNAVAILABLE
from app.refusals import PolicyBroken
from app.serving import bundle
from app.serving.batching import MicroBatcher
from app.serving.measures import Measures, PolicyMeasures
from app.serving.passes import measure_cost
from app.serving.provenance import Provenance
from app.serving.typed_json import TypedReader
from app.serving.world import LiveWorld, open_world
from store.database import Database
from store.errors import NotFound
from store.policies import find_policy, load_model, load_servable

BUDGET_BYTES = 512 << 20  # of ONNX; a policy of the paper's size has 4 MB
# A promotion by a worker is seen after this long at most.
NAME_SECONDS = 0.5
# And a deletion, of what can mean nothing else.
FIXED_SECONDS = 5.0
# A slow database delays actions of a known policy by no more than this.
PATIENCE_SECONDS = 0.25
MAX_REFERENCE = 160
MAX_BATCH = 256


@dataclass(frozen=True, slots=True)
class LivePolicy:
    id: str
    name: str
    version: int
    checkpoint_id: str
    size_bytes: int
    actor: bundle.Actor
    reader: TypedReader
    batcher: MicroBatcher
    latent: MicroBatcher | None  # the state's embedding instead of the action
    has_model: bool
    measures: PolicyMeasures
    provenance: Provenance


@dataclass(slots=True)
class _Meaning:
    policy_id: str
    fresh_until: float


class LoadedPolicies:
    """Used on the event loop only, but for `forget_name` and `forget_policy`."""

    def __init__(
        self,
        database: Database,
        budget_bytes: int = BUDGET_BYTES,
        max_batch: int = MAX_BATCH,
    ) -> None:
        self._database = database
        self._budget_bytes = budget_bytes
        self._max_batch = max_batch
        self.measures = Measures()
        # For the passes that are too long for the event loop: of all policies, one at a time.
        self._thread = ThreadPoolExecutor(1, "forward")
        self._loaded: OrderedDict[str, LivePolicy] = OrderedDict()  # least recently used first
        self._broken: dict[str, str] = {}  # why, by id
        # Their models, of those that were asked what only a model knows.
        self._worlds: dict[str, LiveWorld | None] = {}
        self._meanings: dict[str, _Meaning] = {}
        self._under_way: dict[str, asyncio.Task[str]] = {}

    def __len__(self) -> int:
        return len(self._loaded)

    async def get(self, reference: str) -> LivePolicy:
        """Raises `NotFound` or `PolicyBroken`."""
        policy_id = await self._resolve(reference)
        if policy_id in self._broken:
            raise PolicyBroken(self._broken[policy_id], param="reference")
        while (policy := self._loaded.get(policy_id)) is None:
            await self._once(f"load {policy_id}", partial(self._load, policy_id))
        self._loaded.move_to_end(policy_id)
        return policy

    def at_hand(self, reference: str) -> LivePolicy | None:
        """What `get` would give without waiting; None where it has to look or refuse."""
        meaning = self._meanings.get(reference)
        if meaning is None or time.monotonic() >= meaning.fresh_until:
            return None
        policy = self._loaded.get(meaning.policy_id)
        if policy is not None:
            self._loaded.move_to_end(meaning.policy_id)
        return policy

    async def world_of(self, policy: LivePolicy) -> LiveWorld | None:
        """Its model, or None if it was exported without. Raises `PolicyBroken`."""
        if not policy.has_model:
            return None
        while policy.id not in self._worlds:
            await self._once(f"model {policy.id}", partial(self._load_world, policy))
        return self._worlds[policy.id]

    def count_failure(self, reference: str, status: int) -> None:
        policy = self.at_hand(reference)
        counted = self.measures.lost if policy is None else policy.measures.codes
        counted[status] += 1

    def metrics(self) -> str:
        pending = {(p.name, p.version): p.batcher.rows_waiting for p in self._loaded.values()}
        return self.measures.text(pending)

    def close(self) -> None:
        self._thread.shutdown(wait=False)

    def forget_name(self, name: str) -> None:
        """For the promotion that this very server made: the next action is the new version's."""
        self._meanings.pop(name, None)

    def forget_policy(self, policy_id: str) -> None:
        """For the deletion that this very server made."""
        meanings = list(self._meanings.items())
        for reference in (r for r, meaning in meanings if meaning.policy_id == policy_id):
            self._meanings.pop(reference, None)

    async def _resolve(self, reference: str) -> str:
        meaning = self._meanings.get(reference)
        if meaning is not None and time.monotonic() < meaning.fresh_until:
            return meaning.policy_id
        look_up = self._once(f"find {reference}", partial(self._find, reference))
        if meaning is None or meaning.policy_id not in self._loaded:
            return await look_up
        try:
            return await asyncio.wait_for(look_up, PATIENCE_SECONDS)
        except (TimeoutError, *DATABASE_UNAVAILABLE):
            # What was true a moment ago is better than no action.
            meaning.fresh_until = time.monotonic() + NAME_SECONDS
            return meaning.policy_id

    async def _once(self, what: str, start: Callable[[], Coroutine[Any, Any, str]]) -> str:
        """All who want the same wait for one; it goes on when the one who began it is gone."""
        task = self._under_way.get(what)
        if task is None:
            task = self._under_way[what] = asyncio.create_task(start())
            task.add_done_callback(partial(self._finished, what))
        return await asyncio.shield(task)

    def _finished(self, what: str, task: asyncio.Task[str]) -> None:
        del self._under_way[what]
        if not task.cancelled():
            task.exception()  # seen, even if everybody who waited is gone

    async def _find(self, reference: str) -> str:
        policy_id = await asyncio.to_thread(self._policy_id, reference)
        # Only a bare name can come to mean something else.
        fixed = reference == policy_id or ":" in reference
        lifetime = FIXED_SECONDS if fixed else NAME_SECONDS
        self._meanings[reference] = _Meaning(policy_id, time.monotonic() + lifetime)
        return policy_id

    def _policy_id(self, reference: str) -> str:
        if len(reference) > MAX_REFERENCE:
            raise NotFound("policy", reference[:MAX_REFERENCE])
        with self._database.read() as session:
            return find_policy(session, reference).id

    async def _load(self, policy_id: str) -> str:
        try:
            policy = await asyncio.to_thread(self._open, policy_id)
        except PolicyBroken as refusal:
            self._broken[policy_id] = refusal.message
            raise
        self._loaded[policy_id] = policy
        self._make_room()
        return policy_id

    async def _load_world(self, policy: LivePolicy) -> str:
        self._worlds[policy.id] = await asyncio.to_thread(self._open_world, policy)
        self._make_room(but=policy.id)
        return policy.id

    def _open_world(self, policy: LivePolicy) -> LiveWorld | None:
        with self._database.read() as session:
            row = find_policy(session, policy.id)
            servable, graph = load_servable(session, row), load_model(session, row)
        if graph is None:  # a database that was for a while an earlier release's
            return None
        name = f"{policy.name}:{policy.version}"
        world = open_world(graph, servable.manifest, policy.actor, name)
        cost = measure_cost(world.forward, world.width, time.perf_counter)
        batcher = MicroBatcher(world.forward, world.width, cost=cost, thread=self._thread)
        return LiveWorld(world, batcher, len(graph))

    def _make_room(self, but: str | None = None) -> None:
        """The least recently used leave, with their models."""
        while len(self._loaded) > 1 and self._size() > self._budget_bytes:
            gone = next(each for each in self._loaded if each != but)
            del self._loaded[gone]
            self._worlds.pop(gone, None)

    def _open(self, policy_id: str) -> LivePolicy:
        with self._database.read() as session:
            servable = load_servable(session, find_policy(session, policy_id))
        actor = bundle.open_policy(servable)
        width = actor.observation_space.flat_size
        cost = measure_cost(actor.forward, width, time.perf_counter)
        measures = self.measures.of(servable.name, servable.version)
        return LivePolicy(
            id=servable.id,
            name=servable.name,
            version=servable.version,
            checkpoint_id=servable.checkpoint_id,
            size_bytes=len(servable.onnx),
            actor=actor,
            reader=TypedReader(actor.observation_space, self._max_batch),
            batcher=MicroBatcher(
                actor.forward, width, cost=cost, thread=self._thread, measures=measures
            ),
            latent=actor.latent
            and MicroBatcher(actor.latent, width, cost=cost, thread=self._thread),
            has_model="model" in servable.manifest,
            measures=measures,
            provenance=Provenance(
                servable.id, servable.name, servable.version, servable.checkpoint_id
            ),
        )

    def _size(self) -> int:
        models = sum(world.size_bytes for world in self._worlds.values() if world is not None)
        return models + sum(policy.size_bytes for policy in self._loaded.values())
