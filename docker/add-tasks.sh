#!/bin/sh
# Installs the task modules of TASK_PACKAGES into the environment of one node.
#
#   PYTHON=/opt/dask-graphql/bin/python add-tasks.sh REQUIREMENTS
#
# TASK_PACKAGES contains pip requirements, separated by spaces. A folder without a pyproject.toml, setup.cfg or setup.py
# is not a package: its modules are copied, and its requirements.txt is installed.
set -euf

requirements=$1
site=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
packages=""
for item in ${TASK_PACKAGES:-}; do
  if [ ! -d "$item" ] || [ -f "$item/pyproject.toml" ] || [ -f "$item/setup.cfg" ] || [ -f "$item/setup.py" ]; then
    # Absolute, as pip would take `tasks` for the name of a package in the index.
    [ ! -d "$item" ] || item=$(cd "$item" && pwd)
    packages="$packages $item"
  else
    cp -R "$item/." "$site/"
    if [ -f "$item/requirements.txt" ]; then
      rm "$site/requirements.txt"
      packages="$packages -r $item/requirements.txt"
    fi
  fi
done
# Together with the node's own requirements, as ranges: pip keeps the locked releases unless these packages need others,
# and then finds some that satisfy both.
# shellcheck disable=SC2086
[ -z "$packages" ] || python3 -m pip --python "$PYTHON" install --no-compile -r "$requirements" $packages
