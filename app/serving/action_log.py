"""Writes down what clients want logged, before they get their answer: whoever has an action's id
can rely on it. Requests that come while a write is under way share the next one."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.refusals import ActRefused, QueueFull
from app.serving.bundle import Actor
from app.serving.details import Chosen
from app.serving.policies import LivePolicy
from app.serving.requests import ActRequest
from mrq_core.spaces import Floats
from store.action_log import Action, log_actions, size_of_log
from store.database import Database
from store.ids import new_id

# Columns of the table that becomes of it; an image is none.
MAX_OBSERVATION = 200
MAX_WAITING = 4096
MAX_UNCOUNTED = 10_000


class ActionLog:
    """Used on the event loop only."""

    def __init__(self, database: Database, max_actions: int) -> None:
        self._database = database
        self._max_actions = max_actions
        self._room = 0  # for so many the log need not be counted again
        self._waiting: list[tuple[Sequence[Action], asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def write(self, actions: Sequence[Action]) -> None:
        """Returns when they are committed."""
        if sum(len(each) for each, _ in self._waiting) + len(actions) > MAX_WAITING:
            text = f"{MAX_WAITING} actions wait to be logged already. Try again in a second."
            raise QueueFull(text)
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((actions, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all())
        await done

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            if await self._written([action for actions, _ in batch for action in actions]):
                _settle(batch, None)
                continue
            for actions, done in batch:  # one of them is refused: each by itself, to find it
                _settle([(actions, done)], await self._error_of(actions))

    async def _written(self, actions: Sequence[Action]) -> bool:
        return await self._error_of(actions) is None

    async def _error_of(self, actions: Sequence[Action]) -> Exception | None:
        try:
            await asyncio.to_thread(self._write, actions)
        except Exception as error:  # it is the request's, and is told there
            return error
        return None

    def _write(self, actions: Sequence[Action]) -> None:
        if len(actions) > self._room:
            self._make_room(len(actions))
        log_actions(self._database, actions)
        self._room -= len(actions)

    def _make_room(self, needed: int) -> None:
        """Other servers write too, so the log may grow a little beyond what is allowed."""
        with self._database.read() as session:
            held = size_of_log(session)
        if held + needed > self._max_actions:
            text = (
                f"The log holds {held} actions, and MRQ_MAX_LOGGED_ACTIONS allows "
                f"{self._max_actions}: make a dataset of them and delete them, or leave `log` out."
            )
            raise ActRefused("log_full", text, param="log")
        self._room = min(self._max_actions - held, MAX_UNCOUNTED)


def _settle(
    batch: Sequence[tuple[Sequence[Action], asyncio.Future[None]]], error: Exception | None
) -> None:
    for _, done in batch:
        if done.done():  # its client has gone
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


def actions_to_log(
    policy: LivePolicy, asked: ActRequest, rows: Floats, chosen: Chosen
) -> list[Action]:
    """One for each observation of the request."""
    actor = policy.actor
    return [
        Action(
            id=new_id("act"),
            policy_id=policy.id,
            policy_name=policy.name,
            mode=asked.mode,
            observation=row.tolist(),
            action=np.ravel(action).tolist(),
            propensity=propensity,
            episode=asked.episode,
            t=asked.t,
        )
        for row, action, propensity in zip(
            rows, chosen.actions, _propensities(actor, asked, chosen), strict=True
        )
    ]


def _propensities(actor: Actor, asked: ActRequest, chosen: Chosen) -> Sequence[float | None]:
    """Of a continuous action there is only a density, which a table of transitions has no use for;
    one that was no draw was certain."""
    count = len(chosen.actions)
    if not actor.codec.discrete:
        return [None] * count
    if asked.mode != "sample":
        return [1.0] * count
    chances: NDArray[Any] = actor.probability(chosen.outputs, chosen.actions, chosen.masks)
    return [float(chance) for chance in chances]


async def logged(
    log: ActionLog, policy: LivePolicy, asked: ActRequest, rows: Floats, chosen: Chosen
) -> dict[str, Any]:
    """What the answer says of it: an id for each action."""
    actions = actions_to_log(policy, asked, rows, chosen)
    await log.write(actions)
    ids = [action.id for action in actions]
    return {"action_ids": ids} if asked.is_batch else {"action_id": ids[0]}


def require_loggable(policy: LivePolicy, asked: ActRequest, as_json: bool) -> None:
    """Raises `ActRefused` for what could not become a table of transitions, or not this way."""
    actor = policy.actor
    if not as_json:
        text = "Only JSON has room for an action's id: ask for it with `Accept: application/json`."
        raise ActRefused("log_needs_json", text, param="Accept")
    if actor.observation_space.flat_size > MAX_OBSERVATION:
        text = (
            f"An observation of {actor.observation_space.flat_size} numbers is not logged; at most "
            f"{MAX_OBSERVATION} are."
        )
        raise ActRefused("log_unsupported", text, param="log")
    if len(actor.codec.components) > 1:
        text = "An action of several choices is not logged: a log has one choice or real numbers."
        raise ActRefused("log_unsupported", text, param="log")
    if asked.episode is not None and asked.is_batch:
        text = "episode goes with one observation: those of a batch do not follow one another."
        raise ActRefused("episode_with_batch", text, param="episode")
