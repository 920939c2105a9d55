#!/bin/sh
# Adds the task modules of TASK_PACKAGES to the environment of one node.
#
#   PYTHON=/opt/dask-graphql/bin/python add-tasks.sh REQUIREMENTS
#
# TASK_PACKAGES holds pip requirements separated by spaces. A folder without a pyproject.toml, setup.cfg or setup.py is
# not a package: its modules are taken as they are, and its requirements.txt is installed.
set -euf

requirements=$1
site=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
packages=""
for item in ${TASK_PACKAGES:-}; do
  if [ ! -d "$item" ] || [ -f "$item/pyproject.toml" ] || [ -f "$item/setup.cfg" ] || [ -f "$item/setup.py" ]; then
    # pip takes `tasks` for the name of a package of the index.
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
# The node's own requirements come along, so that pip finds versions that fit both.
# shellcheck disable=SC2086
[ -z "$packages" ] || python3 -m pip --python "$PYTHON" install --no-compile -r "$requirements" $packages
