"""A request that is sent again makes nothing new."""

import hashlib
from collections.abc import Callable

from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from store.clock import now_ms
from store.database import Database
from store.errors import IdempotencyKeyReused, InvalidInput
from store.tables import IdempotencyRecord, Job

MAX_KEY_LENGTH = 255


def once(
    database: Database, key: str | None, body: bytes, make: Callable[[Session], Job]
) -> tuple[Job, bool]:
    """What `make` inserts and the key's row, in one transaction; no broker is spoken to.

    Returns the job (of several, the first) and whether it is new. The same key with the same body
    gives the job that the first request made; with another body it raises `IdempotencyKeyReused`.
    """
    digest = hashlib.sha256(body).hexdigest()
    if (earlier := find_earlier(database, key, body)) is not None:
        return earlier, False
    try:
        with database.write() as session:
            job = make(session)
            if key is not None:
                _remember(session, key, digest, job)
            return job, True
    except IntegrityError:
        # Two requests with one key at once: the other one won, its job is ours too.
        earlier = None if key is None else _replay(database, key, digest)
        if earlier is None:
            raise
        return earlier, False


def find_earlier(database: Database, key: str | None, body: bytes) -> Job | None:
    """What `once` would give without making anything."""
    if key is None:
        return None
    check_key(key)
    return _replay(database, key, hashlib.sha256(body).hexdigest())


def check_key(key: str) -> None:
    if not 1 <= len(key) <= MAX_KEY_LENGTH or not key.isprintable():
        raise InvalidInput(
            f"Idempotency-Key={key[:40]!r} must be 1 to {MAX_KEY_LENGTH} printable characters.",
            param="Idempotency-Key",
        )


def _replay(database: Database, key: str, digest: str) -> Job | None:
    with database.read() as session:
        record = session.get(IdempotencyRecord, key)
        if record is None:
            return None
        if record.request_sha256 != digest:
            raise IdempotencyKeyReused(
                f"Idempotency-Key {key!r} was used before with another body. "
                "Send the same body, or a new key.",
                param="Idempotency-Key",
            )
        return session.get_one(Job, record.job_number)


def _remember(session: Session, key: str, digest: str, job: Job) -> None:
    session.execute(
        insert(IdempotencyRecord).values(
            key=key, request_sha256=digest, job_number=job.number, created_at=now_ms()
        )
    )
