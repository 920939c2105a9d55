#!/usr/bin/env bash
# Installs a Redis 7 for the tests of the store if the machine has none.
#
#   scripts/install-engines.sh PYTHON
#
# PYTHON is the interpreter of the tests' environment. The other engines are Python packages (the extra `test`). Only the
# program of Debian's package is unpacked, into that environment: no service is started, and `dask-graphql dev` keeps using
# its own server. If Redis 7 is not available, its tests are skipped, so this script never fails.
set -uo pipefail

python=${1:?usage: scripts/install-engines.sh PYTHON}
[[ $python == /* ]] || python=$PWD/$python
cd "$(dirname "${BASH_SOURCE[0]}")/.."
found() { "$python" -c 'import sys; from tests.engines import find_engine; sys.exit(find_engine("redis-7") is None)' 2>/dev/null; }

found && exit 0
if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
  echo "fetching Redis 7 for the tests of the store"
  target=$(dirname "$python")/../engines/redis-7
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  [[ $(id -u) != 0 ]] || apt-get -qq update >/dev/null 2>&1
  (
    set -e
    cd "$work"
    # The package itself, and the libraries that the machine lacks.
    { printf 'redis-server\nredis-tools\n'
      apt-get install --simulate --no-install-recommends redis-server | awk '$1 == "Inst" { print $2 }'
    } | sort -u | xargs apt-get -qq download
    for package in ./*.deb; do dpkg-deb --extract "$package" files; done
    mkdir -p "$target"
    rm -rf "$target/files"
    mv files "$target/files"
  ) >/dev/null 2>&1
  cat >"$target/redis-server" <<'END'
#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
libraries=$(find "$here/files/usr/lib" "$here/files/lib" -name '*.so*' -exec dirname {} + 2>/dev/null | sort -u | paste -sd : -)
LD_LIBRARY_PATH=$libraries exec "$here/files/usr/bin/redis-server" "$@"
END
  chmod +x "$target/redis-server"
fi
found || echo "Redis 7 is not available here: the tests of the store on it are skipped" >&2
exit 0
