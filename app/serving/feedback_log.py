"""Writes down what streams tell of logged actions. Frames that come while a write is under way
share the next one, as actions do (`app.serving.action_log`)."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass

from store.action_log import Feedback, Joined, give_feedback
from store.database import Database


@dataclass(frozen=True, slots=True)
class _Told:
    policy_name: str
    feedback: Feedback
    done: asyncio.Future[Joined]


class FeedbackLog:
    """Used on the event loop only."""

    def __init__(self, database: Database, window_seconds: float) -> None:
        self._database = database
        self._window_seconds = window_seconds
        self._waiting: list[_Told] = []
        self._writer: asyncio.Task[None] | None = None

    async def give(self, policy_name: str, feedback: Feedback) -> Joined:
        """Returns when it is committed. At most one of each stream waits, so their limit is
        the queue's."""
        done: asyncio.Future[Joined] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Told(policy_name, feedback, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all())
        return await done

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            by_name: defaultdict[str, list[_Told]] = defaultdict(list)
            for told in batch:
                by_name[told.policy_name].append(told)
            for name, group in by_name.items():
                await self._write(name, group)

    async def _write(self, name: str, group: list[_Told]) -> None:
        given = [told.feedback for told in group]
        try:
            results = await asyncio.to_thread(
                give_feedback, self._database, name, given, self._window_seconds
            )
        except Exception as error:  # it is the frames', and is told there
            for told in group:
                if not told.done.done():
                    told.done.set_exception(error)
            return
        for told, joined in zip(group, results, strict=True):
            if not told.done.done():  # its client has gone
                told.done.set_result(joined)
