"""A policy that is ready to act, and how it becomes so."""

import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from app.serving import bundle
from app.serving.batching import MicroBatcher
from app.serving.measures import Measures, PolicyMeasures
from app.serving.passes import PassCost, measure_cost
from app.serving.provenance import Provenance
from app.serving.typed_json import TypedReader
from app.serving.world import LiveWorld, open_world
from store.database import Database
from store.policies import ServablePolicy, find_policy, load_model, load_servable

# Whatever a pass costs: the event loop is for those who wait for an answer.
_ALWAYS_ON_THREAD = PassCost(float("inf"), 0.0)
# Observations that wait for a shadow's opinion.
MAX_SHADOWED_ROWS = 1024


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
    shadowed: MicroBatcher  # for observations that another version has answered
    has_model: bool
    measures: PolicyMeasures
    provenance: Provenance
    load_seconds: float


@dataclass(frozen=True)
class Opener:
    """Everything here blocks: not for the event loop."""

    database: Database
    measures: Measures
    max_batch: int
    thread: Executor  # for long passes
    shadow_thread: Executor
    pass_threads: int  # that share a pass
    clock: Callable[[], float] = time.perf_counter

    def policy(self, policy_id: str) -> LivePolicy:
        """Raises `NotFound` or `PolicyBroken`."""
        begun = self.clock()
        with self.database.read() as session:
            servable = load_servable(session, find_policy(session, policy_id))
        actor = bundle.open_policy(servable, self.pass_threads)
        return self._live(servable, actor, begun)

    def _live(self, servable: ServablePolicy, actor: bundle.Actor, begun: float) -> LivePolicy:
        width = actor.observation_space.flat_size
        cost = measure_cost(actor.forward, width, self.clock)
        measures = self.measures.of(servable.name, servable.version)
        thread = self.thread
        return LivePolicy(
            id=servable.id,
            name=servable.name,
            version=servable.version,
            checkpoint_id=servable.checkpoint_id,
            size_bytes=len(servable.onnx),
            actor=actor,
            reader=TypedReader(actor.observation_space, self.max_batch),
            batcher=MicroBatcher(
                actor.forward, width, cost=cost, thread=thread, measures=measures, seen=actor.seen
            ),
            latent=actor.latent and MicroBatcher(actor.latent, width, cost=cost, thread=thread),
            shadowed=MicroBatcher(
                actor.forward,
                width,
                max_rows_waiting=MAX_SHADOWED_ROWS,
                cost=_ALWAYS_ON_THREAD,
                thread=self.shadow_thread,
            ),
            has_model="model" in servable.manifest,
            measures=measures,
            provenance=Provenance(
                servable.id, servable.name, servable.version, servable.checkpoint_id
            ),
            load_seconds=self.clock() - begun,
        )

    def world(self, policy: LivePolicy) -> LiveWorld | None:
        """None if it was exported without one. Raises `PolicyBroken`."""
        with self.database.read() as session:
            row = find_policy(session, policy.id)
            servable, graph = load_servable(session, row), load_model(session, row)
        if graph is None:  # a database that was for a while an earlier release's
            return None
        name = f"{policy.name}:{policy.version}"
        world = open_world(graph, servable.manifest, policy.actor, name)
        cost = measure_cost(world.forward, world.width, self.clock)
        batcher = MicroBatcher(world.forward, world.width, cost=cost, thread=self.thread)
        return LiveWorld(world, batcher, len(graph))
