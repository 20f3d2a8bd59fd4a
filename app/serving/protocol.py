"""uvicorn's HTTP, with a way for act requests that ends at the connection itself.

What ASGI does for each request - a scope, a task, an event, two messages - costs as much as a
forward pass. A request that `QuickAct` takes is held until its body is there, waits for its pass
with its connection as the receiver, and is written in one piece. All others are given to uvicorn
as if nothing had been held; so are those that a client sends ahead, for their turn comes through
uvicorn's own pipeline. `app.serve` uses it; under any other server the door does the same, slower.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.context import NO_STORE, SECURITY_HEADERS, RawHeaders
from app.serving.heads import KnownHeads
from app.serving.passes import Forwarded
from app.serving.provenance import NO_HEADERS, FixedHeaders, wire_of
from app.serving.quick import Order, Plan, QuickAct

logger = logging.getLogger(__name__)

# A longer body is read by ASGI, which lets others in between its pieces.
MAX_HELD_BYTES = 1 << 18
_LENGTH_DIGITS = len(str(MAX_HELD_BYTES))
_EVERY_ANSWER = wire_of([*SECURITY_HEADERS, NO_STORE])


class _NoWaiter:
    """Nobody waits for messages of an exchange."""

    def set(self) -> None:
        pass


class Exchange:
    """A request that was taken, and its pass's receiver.

    For uvicorn it is the connection's RequestResponseCycle: while it is not complete, a request
    that follows waits in the pipeline, a shutdown clears `keep_alive` instead of closing, and a
    lost connection sets `disconnected`.
    """

    __slots__ = (
        *("begun", "disconnected", "keep_alive", "order", "plan", "protocol"),
        "response_complete",
    )
    message_event = _NoWaiter()

    def __init__(self, protocol: "ActProtocol", plan: Plan) -> None:
        self.protocol = protocol
        self.plan = plan
        self.begun = time.perf_counter_ns()
        self.order: Order | None = None
        self.response_complete = False
        self.disconnected = False
        self.keep_alive = True

    def done(self) -> bool:
        """With a request behind it, it is not this one that uvicorn tells of a lost connection."""
        closing: bool = self.protocol.transport.is_closing()
        return self.response_complete or self.disconnected or closing

    def set_result(self, forwarded: Forwarded) -> None:
        try:
            self.protocol.answer(self, forwarded)
        except Exception as error:
            self.set_exception(error)

    def set_exception(self, error: BaseException) -> None:
        if self.response_complete or not isinstance(error, Exception):
            # A second answer would be taken for that of the next request.
            self.protocol.transport.abort()
            return
        try:
            self.protocol.refuse(self, error)
        except Exception:
            logger.exception("an act request could not be answered")
            self.protocol.transport.abort()


class ActProtocol(HttpToolsProtocol):
    """`quick_of` is asked at each connection: there is no `QuickAct` before the server runs, and
    none where requests are observed."""

    quick_of: Callable[[], QuickAct | None]
    # uvicorn's RequestResponseCycle, an Exchange or None.
    cycle: Any

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        plain = not self.root_path and self.limit_concurrency is None
        self._quick = type(self).quick_of() if plain else None
        self._held: Exchange | None = None
        self._body = bytearray()
        self._length: bytes | None = None
        self._heads = KnownHeads()
        # The last head that the parser read, and what it says.
        self._head: tuple[bytes, RawHeaders] = (b"", [])
        self._plan: Plan | None = None
        self._common: tuple[RawHeaders, FixedHeaders, bytes] = ([], NO_HEADERS, b"")
        self._answered_at = 0.0

    def data_received(self, data: bytes) -> None:
        """A request that is like one before on this connection but for its body, and comes in one
        piece, needs no parser."""
        known = self._heads.match(data)
        if known is not None and self._is_free():
            if self._take(Exchange(self, known.plan), data[known.size :]):
                return
            self._heads.forget(known)
            self.cycle = None
        super().data_received(data)

    # What httptools calls, in the order in which it does.

    def on_message_begin(self) -> None:
        """The scope is made when it is known that it is needed."""
        self._heads.begin()
        self.url = b""
        self.headers = []
        self._length = None

    def on_header(self, name: bytes, value: bytes) -> None:
        """The length is kept apart, so that heads that differ in nothing else are equal."""
        name = name.lower()
        if name == b"content-length":
            self._length = value
        else:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        quick = self._quick
        plan = self._plan_of_head(quick) if quick is not None and self._may_hold() else None
        if plan is None or self._too_long(plan):
            self._give_up_head()
        else:
            self.cycle = self._held = Exchange(self, plan)

    def on_body(self, body: bytes) -> None:
        if self._held is None:
            super().on_body(body)
        else:
            self._body += body

    def on_message_complete(self) -> None:
        exchange, self._held = self._held, None
        if exchange is None:
            self._heads.complete(None, b"")
            super().on_message_complete()
            return
        body = bytes(self._body)
        self._body.clear()
        taken = self._take(exchange, body)
        self._heads.complete(exchange.plan if taken else None, body)
        if not taken:
            self._give_up(body)
            if not exchange.keep_alive:  # a shutdown began meanwhile
                self.cycle.keep_alive = False

    def _is_free(self) -> bool:
        """Whether an answer could be written as soon as it is there."""
        cycle = self.cycle
        return (
            (cycle is None or cycle.response_complete)
            and not self.pipeline
            and not self.flow.write_paused
        )

    def _may_hold(self) -> bool:
        """`_is_free`, and the connection stays as it is."""
        parser = self.parser
        return (
            self._is_free()
            and parser.get_method() == b"POST"
            and parser.should_keep_alive()
            and parser.get_http_version() == "1.1"
            and not parser.should_upgrade()
        )

    def _plan_of_head(self, quick: QuickAct) -> Plan | None:
        url, headers = self._head
        if self.url != url or self.headers != headers:
            self._head = self.url, self.headers
            self._plan = quick.plan(self.url, self.headers)
        return self._plan

    def _too_long(self, plan: Plan) -> bool:
        length = self._length
        if length is None or not length.isdigit() or len(length) > _LENGTH_DIGITS:
            return True
        return int(length) > min(MAX_HELD_BYTES, plan.allowed_bytes)

    def _take(self, exchange: Exchange, body: bytes) -> bool:
        """Whether it is answered here, be it with a refusal."""
        assert self._quick is not None
        self.cycle = exchange
        try:
            order = self._quick.read(exchange.plan, body, exchange.begun)
            if order is None:
                return False
            exchange.order = order
            order.policy.batcher.enqueue(order.rows, exchange, order.until)
        except Exception as error:
            exchange.set_exception(error)
        return True

    def _give_up_head(self) -> None:
        """To uvicorn, as if it had been told from the beginning."""
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        if self._length is not None:
            super().on_header(b"content-length", self._length)
        super().on_headers_complete()

    def _give_up(self, body: bytes) -> None:
        self.cycle = None
        self._give_up_head()
        super().on_body(body)
        super().on_message_complete()

    def answer(self, exchange: Exchange, forwarded: Forwarded) -> None:
        assert self._quick is not None
        assert exchange.order is not None
        identity, reply = self._quick.reply(exchange.order, forwarded)
        body = reply.body
        head = b"%bserver-timing: %b\r\nx-request-id: %b\r\ncontent-length: %d\r\n%b" % (
            self._common_head(reply.fixed),
            reply.timing,
            identity.encode(),
            len(body),
            reply.described.wire,
        )
        self._write(exchange, head, body)

    def refuse(self, exchange: Exchange, error: Exception) -> None:
        assert self._quick is not None
        status, headers, body = self._quick.refusal(exchange.plan, exchange.order, error)
        head = [*self.server_state.default_headers, *headers]
        self._write(exchange, STATUS_LINE[status] + wire_of(head), body)

    def _write(self, exchange: Exchange, head: bytes, body: bytes) -> None:
        end = b"\r\n" if exchange.keep_alive else b"connection: close\r\n\r\n"
        self.transport.write(b"%b%b%b" % (head, end, body))
        exchange.response_complete = True
        exchange.order = None  # the numbers of the observation need not wait for the next one
        if exchange.keep_alive and not self.pipeline:
            self._rest()
            return
        if not exchange.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _common_head(self, fixed: FixedHeaders) -> bytes:
        """What stands in all answers of a policy. uvicorn has a new list with the date each
        second."""
        dated = self.server_state.default_headers
        if self._common[0] is not dated or self._common[1] is not fixed:
            head = STATUS_LINE[200] + wire_of(dated) + fixed.wire + _EVERY_ANSWER
            self._common = dated, fixed, head
        return self._common[2]

    def _rest(self) -> None:
        """A timer for each request would cost more than its parsing: one goes on until it finds
        that nothing has come for long enough."""
        self.server_state.total_requests += 1
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._rest_for(self.timeout_keep_alive)

    def _rest_for(self, seconds: float) -> None:
        timer = self.loop.call_later(seconds, self.timeout_keep_alive_handler)
        self.timeout_keep_alive_task = timer

    def timeout_keep_alive_handler(self) -> None:
        is_free = self._is_free()
        idle = self.loop.time() - self._answered_at if is_free else 0.0
        if (not is_free or idle < self.timeout_keep_alive) and not self.transport.is_closing():
            self._rest_for(self.timeout_keep_alive - idle)
        else:
            super().timeout_keep_alive_handler()

    def handle_websocket_upgrade(self) -> None:
        """What is asked before the upgrade and not answered yet has no place behind it."""
        if isinstance(self.cycle, Exchange):
            self.cycle.disconnected = True
        super().handle_websocket_upgrade()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._body.clear()
        if isinstance(self.cycle, Exchange):  # each would keep the other
            self.cycle = None


def act_protocol(quick_of: Callable[[], QuickAct | None]) -> type[ActProtocol]:
    """uvicorn makes its protocols itself, so what they need stands in their class."""
    return type("ActProtocol", (ActProtocol,), {"quick_of": staticmethod(quick_of)})
