"""Templates to answers: with escaping, and never cached. The security headers are the server's."""

from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.pages import formats
from app.pages.assets import asset_url
from app.pages.theme import read_theme

FILTERS = (
    formats.age,
    formats.clock,
    formats.count,
    formats.day_and_time,
    formats.duration,
    formats.elapsed,
    formats.gain,
    formats.number,
    formats.ordinal,
    formats.percent,
    formats.plural,
    formats.size,
)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent.parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["asset"] = asset_url
    environment.filters.update({function.__name__: function for function in FILTERS})
    return environment


_TEMPLATES = _environment()


def page(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    html = _TEMPLATES.get_template(template).render(
        theme=read_theme(request), path=request.url.path, **context
    )
    return HTMLResponse(html, status_code=status, headers={"Cache-Control": "no-store"})
