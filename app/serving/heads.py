"""Heads of requests on one connection that were read before, so that no parser need do it again.

A robot or a simulator asks the same a thousand times a second, and only the body differs. A head of
the very same bytes, at a place where a message may begin, means what it meant before.
"""

from dataclasses import dataclass

from app.serving.quick import Plan

# JSON of the same numbers differs in length by some bytes.
MAX_HEADS = 32
MAX_HEAD_BYTES = 2048
_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Head:
    plan: Plan
    data: bytes
    size: int
    whole_size: int  # with the body


class KnownHeads:
    """Is told what the parser finds, and learns a head only of a message that came in one piece,
    alone, from a place between two messages."""

    __slots__ = ("_between", "_heads", "_piece")

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}
        self._between = True
        # What the parser is fed, until it has found the end of a message in it.
        self._piece: bytes | None = None

    def match(self, data: bytes) -> Head | None:
        """That of a whole message. Without one the parser is fed, and `data` may be learnt."""
        self._piece = None
        if not self._between:
            return None
        head = self._heads.get(data[: data.find(_END) + 4])
        if head is not None and head.whole_size == len(data):
            return head
        self._piece = data
        return None

    def begin(self) -> None:
        self._between = False

    def complete(self, plan: Plan | None, body: bytes) -> None:
        """A message ends; `plan` says that it was one to know again."""
        self._between = True
        piece, self._piece = self._piece, None
        if plan is None or piece is None:
            return
        size = len(piece) - len(body)
        if size > MAX_HEAD_BYTES or piece.find(_END) + 4 != size or piece[size:] != body:
            return
        if len(self._heads) >= MAX_HEADS:
            self._heads.clear()
        head = piece[:size]
        self._heads[head] = Head(plan, head, size, len(piece))

    def forget(self, head: Head) -> None:
        self._heads.pop(head.data, None)
