"""The FastAPI application: its OpenAPI document, and a door of its own for act requests."""

from functools import cached_property
from typing import Any

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from app.openapi import document_of
from app.serving.door import ActDoor, act_reference
from app.serving.quick import QuickAct


class Service(FastAPI):
    door: ActDoor

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = document_of(self)
        return self.openapi_schema

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """FastAPI's own layers cost an act request much of its time, and do for it nothing that the
        door does not do."""
        reference = act_reference(scope)
        if reference is None or self._is_observed:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        await self.door(scope, receive, send, reference)

    def quick(self) -> QuickAct | None:
        """What answers act requests without ASGI; None where there has to be ASGI to observe."""
        return None if self._is_observed else self.state.quick

    @cached_property
    def _is_observed(self) -> bool:
        """Whether OpenTelemetry was set up when the first connection or act request came: FastAPI's
        traces and metrics are worth the long way then."""
        telemetry: Any = getattr(self, "_native_telemetry", None)
        return telemetry is not None and bool(telemetry.enabled())
