"""Gymnasium environments, held to their contract."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import gymnasium
import numpy as np
from gymnasium.wrappers import TimeLimit
from numpy.typing import NDArray

from mrq_core.action_masks import MaskSource
from mrq_core.actions import Mask, action_codec
from mrq_core.environment_contract import Contract, ContractBroken
from mrq_core.errors import EnvironmentFault, NonFiniteError, TrainingError
from mrq_core.observations import observation_form, to_frame
from mrq_core.run import Split, TrainingRun
from mrq_core.spaces import Floats, SpaceError, space_from_gymnasium
from mrq_core.vector_environments import OneOfVector

# For environments that set no limit: learning needs episodes that end.
DEFAULT_MAX_EPISODE_STEPS = 1000
# Something of theirs outlives a reset, so that an episode would depend on those before it and could
# not be repeated: every episode gets a new one.
MADE_ANEW = frozenset(
    {
        # Their physical world.
        "BipedalWalker-v3",
        "BipedalWalkerHardcore-v3",
        # Their last action, which sticks.
        "MinAtar/Asterix-v1",
        "MinAtar/Breakout-v1",
        "MinAtar/Freeway-v1",
        "MinAtar/Seaquest-v1",
        "MinAtar/SpaceInvaders-v1",
    }
)

AnyEnv: TypeAlias = gymnasium.Env[Any, Any]
# Of an action, an observation and its info: whether the action may be taken there.
Allows: TypeAlias = Callable[[Any, Any, Mapping[str, Any]], bool]


def allows_all(*_: Any) -> bool:
    return True


def make_environment(
    environment_id: str,
    kwargs: Mapping[str, Any],
    max_episode_steps: int | None,
    action_repeat: int = 1,
    *,
    limit_terminates: bool = False,
    allows: Allows = allows_all,
) -> AnyEnv:
    """The caller has made sure that this id may be made. `max_episode_steps` counts agent steps,
    and is the only time limit there is; the environment's own counts its own steps.

    `limit_terminates`: the environment reports reaching that limit as a termination.
    """
    limit = None if max_episode_steps is None else max_episode_steps * action_repeat
    made = _make(environment_id, kwargs, limit)
    try:
        limit = _time_limit(made, limit, action_repeat, must_be_stated=limit_terminates)
        # It comes back outside the checks, whose words it would hide.
        env = Contract(made.env if isinstance(made, TimeLimit) else made)
    except ContractBroken:
        made.close()
        raise
    ending = OneEnd(TimeLimit(env, limit), limit_terminates)
    return ActionRepeat(ending, action_repeat, allows) if action_repeat > 1 else ending


def _time_limit(env: AnyEnv, limit: int | None, repeat: int, *, must_be_stated: bool) -> int:
    """In the environment's own steps."""
    own = None if env.spec is None else env.spec.max_episode_steps
    if limit is None and own is None and must_be_stated:
        raise ContractBroken("it states no time limit, so limit_terminates needs max_episode_steps")
    return limit or own or DEFAULT_MAX_EPISODE_STEPS * repeat


def _make(environment_id: str, kwargs: Mapping[str, Any], limit: int | None) -> AnyEnv:
    if _is_vector_only(environment_id):
        # Gymnasium hands the registered limit to those that have one; ours is in its place.
        own = gymnasium.spec(environment_id).max_episode_steps
        limited = {} if None in (limit, own) else {"max_episode_steps": limit}
        return OneOfVector(
            gymnasium.make_vec(
                environment_id,
                num_envs=1,
                vectorization_mode="vector_entry_point",
                **(dict(kwargs) | limited),
            )
        )
    # Gymnasium's own checker costs time in every step and warns where we raise.
    return gymnasium.make(
        environment_id, max_episode_steps=limit, disable_env_checker=True, **kwargs
    )


def _is_vector_only(environment_id: str) -> bool:
    module, _, name = environment_id.rpartition(":")
    if module:
        importlib.import_module(module)
    spec = gymnasium.registry.get(name)
    return spec is not None and spec.entry_point is None and spec.vector_entry_point is not None


class OneEnd(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Of an episode that ends in both ways at once, the termination counts; the truncation, if
    this environment calls the end of its time a termination."""

    def __init__(self, env: AnyEnv, limit_terminates: bool) -> None:
        super().__init__(env)
        self.limit_terminates = limit_terminates

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        if terminated and truncated:
            terminated, truncated = not self.limit_terminates, self.limit_terminates
        return observation, reward, terminated, truncated, info


class ActionRepeat(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Each action is taken `repeat` times, or until the episode ends or no longer allows it; the
    rewards add up."""

    def __init__(self, env: AnyEnv, repeat: int, allows: Allows) -> None:
        super().__init__(env)
        self.repeat = repeat
        self.allows = allows

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        total = 0.0
        for _ in range(self.repeat):
            # Environments write into their arguments, too.
            observation, reward, terminated, truncated, info = self.env.step(copy.copy(action))
            total += float(reward)
            if terminated or truncated or not self.allows(action, observation, info):
                break
        return observation, total, terminated, truncated, info


@dataclass(frozen=True)
class Frame:
    """Of a state: its observation as it is stored, and what is legal there, (A,)."""

    observation: NDArray[Any]
    mask: Mask | None


@dataclass(frozen=True)
class Outcome:
    """Of one step. Never both terminated and truncated."""

    observation: NDArray[Any]
    mask: Mask | None
    reward: float
    terminated: bool
    truncated: bool


class Environment:
    """Whatever the environment does wrong becomes an EnvironmentFault or a NonFiniteError that
    names the step. A space that cannot be learned in is a SpaceError."""

    def __init__(
        self,
        environment_id: str,
        kwargs: Mapping[str, Any],
        max_episode_steps: int | None,
        action_repeat: int = 1,
        *,
        history: int | None = None,
        limit_terminates: bool = False,
    ) -> None:
        self._make = partial(
            make_environment,
            environment_id,
            kwargs,
            max_episode_steps,
            action_repeat,
            limit_terminates=limit_terminates,
            allows=self._allows,
        )
        self._made_anew = environment_id.rpartition(":")[2] in MADE_ANEW
        with _faults("not made", 0):
            self.env = self._make()
        try:
            self._understand_spaces(history)
        except BaseException:
            self.env.close()
            raise

    def _understand_spaces(self, history: int | None) -> None:
        self.action_space = space_from_gymnasium(self.env.action_space, "action space")
        self.codec = action_codec(self.action_space)
        space = space_from_gymnasium(self.env.observation_space, "observation space")
        self._masks = MaskSource(space, self.codec)
        self._masked: bool | None = None if self.codec.discrete else False
        self.observation_space = self._masks.space
        self.form = observation_form(self.observation_space, history)

    @property
    def masked(self) -> bool:
        """Whether the environment says which actions are legal; only a reset tells."""
        if self._masked is None:
            self.reset(seed=0, step=0)
        assert self._masked is not None
        return self._masked

    def reset(self, seed: int, step: int) -> Frame:
        """`step` is for the error only, here and below."""
        if self._made_anew:
            self.env.close()
            with _faults("not made", step):
                self.env = self._make()
        with _faults("reset", step):
            observation, info = self.env.reset(seed=seed)
            if self._masked is None:
                self._masked = self._masks.read(observation, info) is not None
            return Frame(self._frame(observation), self._mask(observation, info))

    def step(self, action: Any, step: int) -> Outcome:
        """`action` is in the environment's own units."""
        with _faults("step", step):
            # A copy, for environments write into their arguments, too.
            answer = self.env.step(copy.copy(action))
            observation, reward, terminated, truncated, info = answer
            frame = self._frame(observation)
            mask = self._mask(observation, info, terminal=terminated)
        with np.errstate(over="ignore"):
            finite = np.isfinite(np.float32(reward))
        if not finite:
            raise NonFiniteError(step, f"the reward ({reward})")
        return Outcome(frame, mask, float(reward), terminated, truncated)

    def executable(self, network_action: Floats) -> Any:
        """The network's action (A,) in the environment's own units."""
        return self.codec.to_environment(network_action[None])[0]

    def close(self) -> None:
        self.env.close()

    def _frame(self, observation: Any) -> NDArray[Any]:
        return to_frame(self.observation_space, self.form, self._masks.strip(observation))

    def _mask(
        self, observation: Any, info: Mapping[str, Any], *, terminal: bool = False
    ) -> Mask | None:
        mask = self._masks.read(observation, info, terminal=terminal)
        if mask is None and self.masked:
            if not terminal:
                raise ContractBroken("it gives no action mask, though its first reset gave one")
            return np.ones(self.codec.action_dim, np.bool_)
        if mask is not None and not self.masked:
            raise ContractBroken("it gives an action mask, though its first reset gave none")
        return mask

    def _allows(self, action: Any, observation: Any, info: Mapping[str, Any]) -> bool:
        mask = self._mask(observation, info)
        if mask is None:
            return True
        chosen = self.codec.from_environment(action) > 0
        return not bool((chosen & ~mask).any())


def environment_of(run: TrainingRun, split: Split = "train") -> Environment:
    """A new one at each call: training and evaluation must not share any. `split`: of its dataset,
    where it has one."""
    data = {} if run.dataset is None else run.dataset.kwargs(split)
    return Environment(
        run.environment_id,
        {**run.environment_kwargs, **data},
        run.max_episode_steps,
        run.action_repeat,
        history=run.history,
        limit_terminates=run.limit_terminates,
    )


@contextmanager
def _faults(doing: str, step: int) -> Iterator[None]:
    try:
        yield
    except TrainingError:
        raise
    except ContractBroken as error:
        raise EnvironmentFault(step, str(error)) from error
    except SpaceError as error:
        if error.kind == "not_finite":
            raise NonFiniteError(step, f"{error.path} ({error.got})") from error
        raise EnvironmentFault(step, str(error)) from error
    except Exception as error:
        raise EnvironmentFault(step, f"{doing}: {type(error).__name__}: {error}") from error
