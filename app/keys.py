"""The API key: where it is kept, and what is signed with it for browsers."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from itsdangerous import BadSignature, URLSafeTimedSerializer

from store.errors import SetupError
from store.settings import Settings

LOGIN_LINK_SECONDS = 15 * 60
SESSION_SECONDS = 30 * 24 * 3600
MIN_KEY_LENGTH = 16


def api_key_file(settings: Settings) -> Path:
    return settings.data_dir / "api-key"


def load_api_key(settings: Settings) -> str:
    """The setting's key, else the file's; on the first start a new one is made and kept there."""
    if key := settings.api_key.get_secret_value():
        return key
    file = api_key_file(settings)
    if not file.exists():
        _create(file)
    return _read(file)


def _create(file: Path) -> None:
    """Complete or not there at all, and of two processes at once the first one wins."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}-{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as out:
            out.write(f"mrq_{secrets.token_urlsafe(32)}\n")
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _read(file: Path) -> str:
    if file.stat().st_mode & 0o077:
        raise SetupError(f"{file} can be read by other users: run `chmod 600 {file}`.")
    key = file.read_text().strip()
    if len(key) < MIN_KEY_LENGTH:
        raise SetupError(
            f"{file} holds {len(key)} characters; a key has at least {MIN_KEY_LENGTH}. "
            "Delete the file to have a new key made."
        )
    return key


def login_link(base_url: str, key: str) -> str:
    """Logs a browser in for 15 minutes from now; the key itself is not in it."""
    return f"{base_url.rstrip('/')}/ui/login?token={_serializer(key, 'login').dumps('login')}"


def login_token_is_valid(token: str, key: str) -> bool:
    return _is_signed(token, key, "login", LOGIN_LINK_SECONDS)


def new_session(key: str) -> str:
    return _serializer(key, "session").dumps("session")


def session_is_valid(session: str, key: str) -> bool:
    return _is_signed(session, key, "session", SESSION_SECONDS)


def session_cookie_name(key: str) -> str:
    """Two services on one host share its cookies, whatever their ports."""
    return f"mrq_session_{_derived(key, 'cookie').hex()[:8]}"


def _is_signed(text: str, key: str, purpose: str, max_age: int) -> bool:
    try:
        return bool(_serializer(key, purpose).loads(text, max_age=max_age) == purpose)
    except BadSignature:
        return False


def _serializer(key: str, purpose: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(
        _derived(key, "signing"), salt=purpose, signer_kwargs={"digest_method": hashlib.sha256}
    )


def _derived(key: str, purpose: str) -> bytes:
    return hmac.digest(key.encode(), f"mrq-{purpose}".encode(), "sha256")
