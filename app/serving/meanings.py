"""Which policy a reference means just now, without ever making an action wait for a newer one.

A meaning is believed for a moment and then looked up beside the requests, which go on with it. If
it has changed, the new policy is loaded and checked beside them too, and then takes its place at
once. Where that fails, or the database does not answer, the old one goes on acting.
"""

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from app.errors import DATABASE_UNAVAILABLE
from app.refusals import PolicyBroken
from app.serving.lookup import Found, Target
from app.serving.once import Once
from app.serving.traffic import Split
from store.errors import NotFound

# A promotion elsewhere is looked for after this long.
NAME_SECONDS = 0.5
# And a deletion, of what can mean nothing else.
FIXED_SECONDS = 5.0
# So long requests go on with a meaning that is looked up anew.
GRACE_SECONDS = 0.4
# A slow database delays actions of a known policy by no more than this.
PATIENCE_SECONDS = 0.25
# One that could not be loaded is not tried again for so long; a broken one never.
RETRY_SECONDS = 5.0

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Meaning:
    policy_id: str
    split: Split | None
    fresh_until: float  # by time.monotonic
    wanted: Target | None = None  # what it is to mean as soon as that is loaded
    refused: Target | None = None  # what could not be loaded, until `retry_at`
    retry_at: float = 0.0

    @property
    def target(self) -> Target:
        return Target(self.policy_id, self.split)

    @property
    def ids(self) -> set[str]:
        """Also the one of a name whose traffic is divided."""
        return {self.policy_id, *self.target.ids}

    def mean(self, target: Target) -> None:
        self.policy_id, self.split, self.wanted = target.policy_id, target.split, None


def drawn_of(meaning: Meaning) -> str:
    """The id of the policy that a request gets."""
    return meaning.policy_id if meaning.split is None else meaning.split.draw()


class Meanings:
    """Used on the event loop only."""

    def __init__(
        self,
        look_up: Callable[[str, str | None], Found],
        load: Callable[[str], Awaitable[object]],
        is_loaded: Callable[[str], bool],
        count_swap: Callable[[str, bool], None],
    ) -> None:
        """`look_up` blocks, and is called on a thread. `count_swap`: of a reference, whether it
        came to mean what it should."""
        self.look_up = look_up
        self._load = load
        self._is_loaded = is_loaded
        self._count_swap = count_swap
        self._once = Once()
        self._gone: set[str] = set()  # ids that this server deleted
        # How often this server itself changed what a reference means.
        self._changes: Counter[str] = Counter()
        self.table: dict[str, Meaning] = {}
        self.traffic: dict[str, Split] = {}  # by bare name, of those that have settings

    async def of(self, reference: str) -> Meaning:
        """Raises `NotFound`."""
        while True:
            meaning = self.table.get(reference)
            if meaning is not None and time.monotonic() < meaning.fresh_until:
                return meaning
            if meaning is None or not self._acts(meaning):
                await self._look_up(reference)
            else:
                await self._look_up_soon(reference, meaning)

    def is_believed(self, reference: str, meaning: Meaning, now: float) -> bool:
        """Of one that is no longer fresh. Begins to look it up, and does not wait for that."""
        self._once.begin(f"look {reference}", partial(self._look, reference))
        return now < meaning.fresh_until + GRACE_SECONDS

    async def moved(self, reference: str) -> None:
        """This very server has changed it: returns when the next action is the new one's, or when
        that could not be loaded."""
        await self._once.past(f"look {reference}")  # which may have looked before the change
        try:
            await self._look_up(reference)
        except NotFound:
            return
        except DATABASE_UNAVAILABLE:
            # What was committed stands, and is found by a later look.
            logger.warning("what %s means now could not be looked up", reference)
            return
        await self._once.past(f"swap {reference}")

    def change(self, reference: str, policy_id: str | None) -> None:
        """This very server has committed it, and has the policy ready; None: it means nothing. What
        a look-up that began before finds counts no more."""
        self._changes[reference] += 1
        meaning = self.table.get(reference)
        if policy_id is None:
            self.forget(reference)
            return
        target, fresh_until = Target(policy_id), time.monotonic() + NAME_SECONDS
        if meaning is None:
            self._set(reference, Meaning(policy_id, None, fresh_until))
            return
        if meaning.target != target:
            self._count_swap(reference, True)
        meaning.mean(target)
        meaning.fresh_until = fresh_until

    def forget(self, reference: str) -> None:
        self.table.pop(reference, None)
        self.traffic.pop(reference, None)

    def forget_policy(self, policy_id: str) -> None:
        """This very server has deleted it."""
        self._gone.add(policy_id)
        for each in self.table.values():
            if each.wanted is not None and policy_id in each.wanted.ids:
                each.wanted = None
        for reference in [r for r, each in self.table.items() if policy_id in each.ids]:
            self.forget(reference)

    def _acts(self, meaning: Meaning) -> bool:
        return any(map(self._is_loaded, meaning.target.ids))

    async def _look_up(self, reference: str) -> None:
        await self._once.do(f"look {reference}", partial(self._look, reference))

    async def _look_up_soon(self, reference: str, meaning: Meaning) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._look_up(reference)
                await self._once.past(f"swap {reference}")
        except TimeoutError:
            # What was true a moment ago is better than no action.
            meaning.fresh_until = time.monotonic() + NAME_SECONDS

    async def _look(self, reference: str) -> None:
        meaning, changes = self.table.get(reference), self._changes[reference]
        known_id = None if meaning is None else meaning.policy_id
        looking = asyncio.create_task(asyncio.to_thread(self.look_up, reference, known_id))
        try:
            while not (await asyncio.wait({looking}, timeout=PATIENCE_SECONDS))[0]:
                if meaning is not None:
                    meaning.fresh_until = time.monotonic() + NAME_SECONDS
            found = looking.result()
        except NotFound:
            if self._changes[reference] != changes:
                return
            self.forget(reference)
            raise
        except Exception as error:
            if meaning is None or not self._acts(meaning):
                raise
            if not isinstance(error, DATABASE_UNAVAILABLE):
                logger.exception("what %s means now could not be looked up", reference)
            meaning.fresh_until = time.monotonic() + NAME_SECONDS
            return
        if self._changes[reference] == changes:
            self._take(reference, found)

    def _take(self, reference: str, found: Found) -> None:
        target, meaning = found.target, self.table.get(reference)
        if self._gone.intersection({target.policy_id, *target.ids}):
            return  # deleted since: whoever waits looks again
        now = time.monotonic()
        fresh_until = now + (FIXED_SECONDS if found.is_fixed else NAME_SECONDS)
        if meaning is not None and not found.known_is_gone and self._is_refused(meaning, target):
            meaning.fresh_until = fresh_until  # the old one is there, if not in memory
            return
        if meaning is None or found.known_is_gone or not self._acts(meaning):
            self._set(reference, Meaning(target.policy_id, target.split, fresh_until))
            return
        meaning.fresh_until = fresh_until
        if target.split == meaning.split is not None:
            meaning.policy_id = target.policy_id  # nobody acts by it while there is traffic
        if target == meaning.target:
            meaning.wanted = None
        else:
            meaning.wanted = target
            self._once.begin(f"swap {reference}", partial(self._swap, reference))

    def _is_refused(self, meaning: Meaning, target: Target) -> bool:
        return target == meaning.refused and time.monotonic() < meaning.retry_at

    async def _swap(self, reference: str) -> None:
        """Until it means the newest that is wanted: that may change while another one is loaded."""
        while (meaning := self.table.get(reference)) is not None:
            if (wanted := meaning.wanted) is None:
                return
            failure = await self._failure_of(wanted)
            if self.table.get(reference) is not meaning or meaning.wanted != wanted:
                continue
            if failure is None:
                meaning.mean(wanted)
                self._set(reference, meaning)
            else:
                logger.warning("%s does not come to mean %s: %r", reference, wanted.ids, failure)
                meaning.refused, meaning.wanted = wanted, None
                broken = isinstance(failure, PolicyBroken)
                meaning.retry_at = math.inf if broken else time.monotonic() + RETRY_SECONDS
            self._count_swap(reference, failure is None)

    async def _failure_of(self, target: Target) -> Exception | None:
        try:
            for policy_id in target.ids:
                await self._load(policy_id)
        except Exception as error:  # whatever it is, the old one can act
            return error
        return None

    def _set(self, reference: str, meaning: Meaning) -> None:
        self.table[reference] = meaning
        if meaning.split is None:
            self.traffic.pop(reference, None)
        else:
            self.traffic[reference] = meaning.split
