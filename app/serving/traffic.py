"""How the requests for a bare name are divided among its versions."""

import hashlib
import random
from bisect import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

from store.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Shadow:
    policy_id: str
    version: int


@dataclass(frozen=True, slots=True)
class Split:
    """`bounds[i]`: the sum of the first shares up to that of `routes[i]`; the last one is 1."""

    revision: int
    routes: tuple[str, ...]  # ids of policies
    bounds: tuple[float, ...]
    shadows: tuple[Shadow, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        return (*self.routes, *(shadow.policy_id for shadow in self.shadows))

    def draw(self) -> str:
        return self._at(random.random())

    def of_episode(self, episode: str) -> str:
        """The same one whenever and wherever it is asked. Of two routes that stay in their order,
        only those episodes change that are taken from one."""
        digest = hashlib.blake2b(episode.encode("utf-8", "surrogatepass"), digest_size=6).digest()
        return self._at(int.from_bytes(digest, "big") / 2**48)

    def _at(self, share: float) -> str:
        """`share`: at least 0 and below 1."""
        return self.routes[bisect(self.bounds, share)]


def split_of(traffic: Traffic, ids: Mapping[int, str]) -> Split:
    """`ids`: of the policies, by version."""
    total = sum(route.weight for route in traffic.routes)
    bounds = list(accumulate(route.weight / total for route in traffic.routes))
    return Split(
        revision=traffic.revision,
        routes=tuple(ids[route.version] for route in traffic.routes),
        bounds=(*bounds[:-1], 1.0),  # whatever rounding says
        shadows=tuple(Shadow(ids[version], version) for version in traffic.shadow),
    )
