#!/usr/bin/env bash
# Installs nginx and Caddy for the tests of docs/proxies.md if the machine has none.
#
#   scripts/install-proxies.sh PYTHON
#
# PYTHON is the interpreter of the tests' environment. Only the programs of Debian's packages are unpacked, into that
# environment: no service is started. If they are not available, their tests are skipped, so this script never fails.
set -uo pipefail

python=${1:?usage: scripts/install-proxies.sh PYTHON}
[[ $python == /* ]] || python=$PWD/$python
target=$(dirname "$python")/../proxies
found() { PATH=$target/usr/sbin:$target/usr/bin:$PATH:/usr/sbin command -v "$1" >/dev/null; }

wanted=()
# Since Debian 12 the program is in the package nginx; before, it was in nginx-light.
found nginx || wanted+=(nginx nginx-light)
found caddy || wanted+=(caddy)
((${#wanted[@]})) || exit 0
if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
  echo "fetching ${wanted[*]} for the tests of proxies"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$target"
  (
    cd "$work" || exit
    [[ $(id -u) != 0 ]] || apt-get -qq update
    for package in "${wanted[@]}"; do apt-get -qq download "$package"; done
    for file in ./*.deb; do dpkg-deb --extract "$file" "$target"; done
  ) >/dev/null 2>&1
fi
found nginx && found caddy || echo "nginx or Caddy is not available here: their tests are skipped" >&2
exit 0
