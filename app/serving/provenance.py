"""What every answer of a policy says of where it comes from, as bytes made once."""

from dataclasses import dataclass

import orjson

from app.context import RawHeaders

JSON, RAW, NPY = b"application/json", b"application/octet-stream", b"application/x-npy"


@dataclass(frozen=True, slots=True)
class FixedHeaders:
    """`wire`: as they stand in an HTTP/1.1 head."""

    raw: RawHeaders
    wire: bytes


def fixed_headers(raw: RawHeaders) -> FixedHeaders:
    return FixedHeaders(raw, wire_of(raw))


def wire_of(headers: RawHeaders) -> bytes:
    return b"".join(b"%b: %b\r\n" % header for header in headers)


NO_HEADERS = fixed_headers([])


class Provenance:
    __slots__ = ("header", "json", "json_headers", "npy_headers", "raw_headers")

    def __init__(self, policy_id: str, name: str, version: int, checkpoint_id: str) -> None:
        # Members of a JSON object, without its brackets.
        self.json = orjson.dumps(
            {
                "policy_id": policy_id,
                "name": name,
                "version": version,
                "checkpoint_id": checkpoint_id,
            }
        )[1:-1]
        self.header = (b"x-policy-version", str(version).encode())
        by_id = (b"x-policy-id", policy_id.encode())
        self.json_headers = fixed_headers([(b"content-type", JSON), self.header])
        self.raw_headers = fixed_headers([(b"content-type", RAW), by_id, self.header])
        self.npy_headers = fixed_headers([(b"content-type", NPY), by_id, self.header])
