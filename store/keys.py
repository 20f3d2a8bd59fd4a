"""The API key, the link that logs a browser in, and the session it gains.

The key itself never stands in a URL: a link carries a signed note that expires.
"""

import os
import secrets
import stat
from pathlib import Path

from itsdangerous import BadSignature, URLSafeTimedSerializer

from store.errors import SetupError
from store.settings import Settings

LINK_SECONDS = 15 * 60
SESSION_SECONDS = 30 * 24 * 3600
MIN_KEY_LENGTH = 16


def api_key_file(settings: Settings) -> Path:
    return settings.data_dir / "api-key"


def make_api_key(settings: Settings) -> tuple[str, bool]:
    """The key in force, and whether it was made just now (and should be shown once)."""
    if settings.api_key.get_secret_value():
        return settings.api_key.get_secret_value(), False
    file = api_key_file(settings)
    if file.exists():
        return read_api_key(settings), False
    key = f"mrq_{secrets.token_urlsafe(32)}"
    if _place(file, key):
        return key, True
    return read_api_key(settings), False


def _place(file: Path, key: str) -> bool:
    """Whole or not at all; of two processes that start at once, the first one's key stands."""
    draft = file.with_name(f".{file.name}-{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as out:
            out.write(key)
            out.flush()
            os.fsync(out.fileno())
        os.link(draft, file)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def read_api_key(settings: Settings) -> str:
    if settings.api_key.get_secret_value():
        return settings.api_key.get_secret_value()
    path = api_key_file(settings)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        key = path.read_text().strip()
    except FileNotFoundError:
        raise SetupError(
            f"No API key: set MRQ_API_KEY, or let `mrq up` make one in {path}."
        ) from None
    if mode & 0o077:
        raise SetupError(f"{path} can be read by others (mode {mode:o}): run chmod 600 on it.")
    if len(key) < MIN_KEY_LENGTH:
        raise SetupError(f"{path} holds fewer than {MIN_KEY_LENGTH} characters; delete it.")
    return key


def login_link(base_url: str, key: str) -> str:
    """Good for 15 minutes. Making one needs the key; reading one does not give it away."""
    return f"{base_url}/ui/login?token={_signer(key, 'link').dumps('login')}"


def is_login_token(token: str, key: str) -> bool:
    return _is_signed(token, key, "link", LINK_SECONDS)


def make_session(key: str) -> str:
    return str(_signer(key, "session").dumps("session"))


def is_session(cookie: str, key: str) -> bool:
    return _is_signed(cookie, key, "session", SESSION_SECONDS)


def _signer(key: str, purpose: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(key, salt=f"mrq-{purpose}")


def _is_signed(text: str, key: str, purpose: str, seconds: int) -> bool:
    try:
        _signer(key, purpose).loads(text, max_age=seconds)
    except BadSignature:
        return False
    return True
