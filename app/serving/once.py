"""Work that all who want it wait for together."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

Start = Callable[[], Coroutine[Any, Any, Any]]


class Once:
    """Used on the event loop only."""

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Task[Any]] = {}

    def begin(self, what: str, start: Start) -> asyncio.Task[Any]:
        """The one under way, or one that begins now. One that has ended is not under way, even
        before it is forgotten: who waited for it in a loop would have no turn of the event loop in
        between, and so would nobody else."""
        task = self._under_way.get(what)
        if task is None or task.done():
            task = self._under_way[what] = asyncio.create_task(start())
            task.add_done_callback(partial(self._finished, what))
        return task

    async def do(self, what: str, start: Start) -> Any:
        """Its result. It goes on when the one who began it is gone."""
        return await asyncio.shield(self.begin(what, start))

    async def past(self, what: str) -> None:
        """Returns when the one under way has ended, well or not; at once where there is none."""
        if (task := self._under_way.get(what)) is not None:
            await asyncio.wait({task})

    def _finished(self, what: str, task: asyncio.Task[Any]) -> None:
        if self._under_way.get(what) is task:
            del self._under_way[what]
        if not task.cancelled():
            task.exception()  # seen, even if everybody who waited is gone
