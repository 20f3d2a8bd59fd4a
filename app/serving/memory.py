"""Which policies stay in memory: a budget of bytes, and who leaves when it is passed.

Who leaves is forgotten here alone: a request that has it goes on with it.
"""

from collections import Counter, OrderedDict

from app.serving.live import LivePolicy
from app.serving.world import LiveWorld


class Memory:
    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self.policies: OrderedDict[str, LivePolicy] = OrderedDict()  # least recently used first
        # Their models, of those that were asked what only a model knows.
        self.worlds: dict[str, LiveWorld | None] = {}

    def add(self, policy: LivePolicy) -> None:
        self.policies[policy.id] = policy
        self._make_room(but=policy.id)

    def add_world(self, policy_id: str, world: LiveWorld | None) -> None:
        # Of those whose policy left while they were loaded for a request that still had it.
        for orphan in [each for each in self.worlds if each not in self.policies]:
            del self.worlds[orphan]
        self.worlds[policy_id] = world
        self._make_room(but=policy_id)

    def remove(self, policy_id: str) -> None:
        self.policies.pop(policy_id, None)
        self.worlds.pop(policy_id, None)

    def _make_room(self, but: str) -> None:
        while len(self.policies) > 1 and self._size() > self._budget_bytes:
            self.remove(self._first_to_go(but))

    def _first_to_go(self, but: str) -> str:
        """The least recently used one; but first of a name whose versions hold more than half of
        the budget, or one busy name would push out all others."""
        candidates = [policy for policy in self.policies.values() if policy.id != but]
        sizes: Counter[str] = Counter()
        versions: Counter[str] = Counter()
        for policy in self.policies.values():
            sizes[policy.name] += self._size_of(policy)
            versions[policy.name] += 1
        for policy in candidates:
            if versions[policy.name] > 1 and sizes[policy.name] > self._budget_bytes / 2:
                return policy.id
        return candidates[0].id

    def _size(self) -> int:
        return sum(map(self._size_of, self.policies.values()))

    def _size_of(self, policy: LivePolicy) -> int:
        """With its model's."""
        world = self.worlds.get(policy.id)
        return policy.size_bytes + (0 if world is None else world.size_bytes)
