#!/usr/bin/env bash
# The browser tests drive a real Chromium. Debian's package where root may install it, else
# Playwright's own build.
set -euo pipefail
cd "$(dirname "$0")/../.."
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" > /dev/null; then exit 0; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    echo "installing chromium for the browser tests"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium > /dev/null
else
    .venv/bin/playwright install chromium
fi
