"""In which form a request comes and its answer goes: JSON, raw numbers or npy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.body import require_unpacked
from app.refusals import UnsupportedMediaType
from app.serving.answers import ReplyForm, json_reply, npy_reply, raw_reply
from app.serving.arrays import npy_reader, raw_reader
from app.serving.provenance import JSON, NPY, RAW
from app.serving.requests import Reader, read_request


@dataclass(frozen=True)
class Form:
    reader: Callable[[Mapping[bytes, bytes]], Reader]  # by the headers
    reply: ReplyForm  # where the client asks for none
    is_json: bool = False


_JSON = Form(lambda _: read_request, json_reply, is_json=True)
_FORMS = {JSON: _JSON, RAW: Form(raw_reader, raw_reply), NPY: Form(npy_reader, npy_reply)}


def request_form(headers: Mapping[bytes, bytes]) -> Form:
    given = headers.get(b"content-type", b"")
    form = _FORMS.get(given) or _FORMS.get(media_type := _media_type(given))
    if form is None and media_type.endswith(b"+json"):
        form = _JSON
    if form is None:
        allowed = ", ".join(each.decode() for each in _FORMS)
        raise UnsupportedMediaType(
            f"Content-Type={given[:80].decode('latin-1')!r} must be one of {allowed}.",
            param="Content-Type",
        )
    require_unpacked(headers.get(b"content-encoding", b"identity").decode("latin-1"))
    return form


def reply_form(headers: Mapping[bytes, bytes]) -> ReplyForm | None:
    """The first that `Accept` names; None leaves it to the request's own form."""
    accepted = headers.get(b"accept")
    if accepted is None or accepted == b"*/*":
        return None
    for part in accepted.split(b","):
        if (form := _FORMS.get(_media_type(part))) is not None:
            return form.reply
    return None


def _media_type(text: bytes) -> bytes:
    return text.partition(b";")[0].strip().lower()
