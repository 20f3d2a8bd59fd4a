"""Pictures of a job's page for the README: `screenshot.py LOGIN_LINK JOB_ID OUT.png`.

Writes OUT-light.png and OUT-dark.png, 1280 pixels wide, at most 200 kB each, from a running
service. The login link is what `mrq login-link` prints.
"""

import argparse
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, expect, sync_playwright

CHROMIUM = "/usr/bin/chromium"
WIDTH, HEIGHT = 1280, 980
MAX_BYTES = 200_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("login_link")
    parser.add_argument("job_id")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        for scheme in ("light", "dark"):
            file = options.out.with_stem(f"{options.out.stem}-{scheme}")
            picture = _picture(browser, options.login_link, options.job_id, scheme)
            if len(picture) > MAX_BYTES:
                raise SystemExit(f"{file} would have {len(picture)} bytes; allowed: {MAX_BYTES}")
            file.write_bytes(picture)
            print(f"{file}: {len(picture)} bytes")
        browser.close()


def _picture(browser: Browser, login_link: str, job_id: str, scheme: str) -> bytes:
    context = browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(login_link)
    address = urlsplit(login_link)
    page.goto(f"{address.scheme}://{address.netloc}/ui/jobs/{job_id}")
    expect(page.locator("#chart canvas")).to_be_visible()
    picture = page.screenshot()
    context.close()
    return picture


if __name__ == "__main__":
    main()
