#!/usr/bin/env bash
# Installs a Chromium for the tests of the web pages if the machine has none.
#
#   scripts/install-browser.sh PYTHON
#
# PYTHON is the interpreter of the environment with Playwright. Debian's package is used if we may install it, because it
# includes the libraries; otherwise Playwright's own build. If neither is available, the tests that need a browser
# are skipped with that reason, so this script never fails.
set -uo pipefail

python=${1:?usage: scripts/install-browser.sh PYTHON}
found() { "$python" -m tests.browser >/dev/null 2>&1; }

cd "$(dirname "${BASH_SOURCE[0]}")/.."
found && exit 0
echo "installing a browser for the tests of the web pages"
if [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  { apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium fonts-dejavu-core; } >/dev/null 2>&1
fi
found || timeout 300 "$python" -m playwright install chromium >/dev/null 2>&1
found || echo "no browser is available here: the tests of the web pages are skipped" >&2
exit 0
