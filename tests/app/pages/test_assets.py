import base64
import gzip
import hashlib
import re
import tomllib
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.pages.assets import FOLDER, asset_url, assets

VENDOR = FOLDER / "vendor"
FILES = tomllib.loads((VENDOR / "vendor.toml").read_text())["file"]


@pytest.mark.parametrize("entry", FILES, ids=lambda entry: str(entry["path"]))
def test_a_vendored_file_is_the_published_one_beside_its_licence(entry: dict[str, str]) -> None:
    file = VENDOR / entry["path"]
    digest = hashlib.sha384(file.read_bytes()).digest()
    assert base64.b64encode(digest).decode() == entry["sha384"]
    (licence,) = file.parent.glob("LICENSE*")
    assert len(licence.read_text()) > 300


def test_every_vendored_file_is_listed() -> None:
    served = {p.relative_to(VENDOR).as_posix() for p in VENDOR.rglob("*.*") if p.suffix in _CODE}
    assert served == {entry["path"] for entry in FILES}


_CODE = {".js", ".css"}


def test_our_own_scripts_stay_small() -> None:
    own = [asset for path, asset in assets().items() if path.endswith(".js") and "/" not in path]
    assert sum(len(asset.gzipped) for asset in own) <= 15_000


def test_nothing_is_fetched_from_elsewhere() -> None:
    """Addresses in comments and namespaces are no requests; `url(` and `import` would be."""
    for path in FOLDER.rglob("*.css"):
        assert re.findall(r"url\((?!\"?data:)", path.read_text()) == [], path
        assert "@import" not in path.read_text(), path


def test_an_asset_can_be_kept_for_ever(browser: TestClient) -> None:
    answer = browser.get(asset_url("app.css"), headers={"Accept-Encoding": "identity"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.content == (FOLDER / "app.css").read_bytes()


def test_an_asset_travels_compressed(browser: TestClient) -> None:
    url = asset_url("vendor/pico/pico.min.css")
    with browser.stream("GET", url, headers={"Accept-Encoding": "gzip"}) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(raw) == (VENDOR / "pico/pico.min.css").read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "/static/000000000000/app.css",
        "/static/x/../../pages/routes.py",
        "/static/x/%2e%2e/%2e%2e/pages/routes.py",
        "/static/x/vendor/vendor.toml",
        "/static/x//etc/passwd",
    ],
)
def test_no_other_file_is_served(browser: TestClient, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 404
    assert b"import" not in answer.content


def test_the_folder_has_no_file_that_nobody_uses() -> None:
    templates = "".join(path.read_text() for path in Path(FOLDER.parent).rglob("*.html"))
    for path in assets():
        assert f"asset('{path}')" in templates, path
