"""Where an environment says which of its actions are legal.

Four spellings were met: a key `action_mask` in the observation (PettingZoo, Jumanji), in info
`action_mask` (Gymnasium's Taxi) or `legal_action_mask` (envpool), and in info
`admissible_actions`, a list of actions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mrq_core.actions import ActionCodec, Mask
from mrq_core.spaces import Dict, Space, SpaceError, describe

KEY = "action_mask"
INFO_KEYS = (KEY, "legal_action_mask")
ADMISSIBLE = "admissible_actions"


class MaskSource:
    """`space` is what remains of the environment's observation space for the network."""

    def __init__(self, space: Space, codec: ActionCodec) -> None:
        self.codec = codec
        self.space = space
        self.in_observation = self.is_pair = False
        if codec.discrete and isinstance(space, Dict):
            rest = {key: part for key, part in space.spaces if key != KEY}
            self.in_observation = len(rest) < len(space.spaces)
            # PettingZoo's: {"observation": ..., "action_mask": ...}
            self.is_pair = self.in_observation and list(rest) == ["observation"]
            self.space = rest["observation"] if self.is_pair else Dict(tuple(rest.items()))

    def strip(self, observation: Any) -> Any:
        """What is in `self.space`."""
        if not (self.in_observation and isinstance(observation, Mapping)):
            return observation
        rest = {key: part for key, part in observation.items() if key != KEY}
        if not self.is_pair:
            return rest
        if rest.keys() != {"observation"}:
            expected, got = "an object with ['observation', 'action_mask']", describe(observation)
            raise SpaceError(kind="shape", expected=expected, got=got, path="observation")
        return rest["observation"]

    def read(
        self, observation: Any, info: Mapping[str, Any], *, terminal: bool = False
    ) -> Mask | None:
        """(A,), or None where nothing is said of it. SpaceError if it is no mask."""
        if not self.codec.discrete:
            return None
        if self.in_observation and isinstance(observation, Mapping) and KEY in observation:
            return self.codec.read_mask(observation[KEY], f"observation.{KEY}", terminal=terminal)
        for key in INFO_KEYS:
            if info.get(key) is not None:
                return self.codec.read_mask(info[key], f"info.{key}", terminal=terminal)
        if info.get(ADMISSIBLE) is not None:
            return self._admissible(info[ADMISSIBLE], f"info.{ADMISSIBLE}", terminal=terminal)
        return None

    def _admissible(self, actions: object, path: str, *, terminal: bool) -> Mask:
        if len(self.codec.components) > 1:
            expected = (
                "a mask for each component, for lists of whole actions say more than these can"
            )
            raise SpaceError(kind="shape", expected=expected, got=describe(actions), path=path)
        if not isinstance(actions, Iterable) or isinstance(actions, (str, Mapping)):
            expected = "a list of actions"
            raise SpaceError(kind="shape", expected=expected, got=describe(actions), path=path)
        allowed = [0] * self.codec.action_dim
        for action in actions:
            allowed[int(self.codec.from_environment(action, path).argmax())] = 1
        return self.codec.read_mask(allowed, path, terminal=terminal)
