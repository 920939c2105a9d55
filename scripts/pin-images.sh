#!/bin/sh
# Pins the images that others publish to their current contents: name:tag becomes name:tag@sha256:..., in the Dockerfile
# and in docker-compose.yaml. Run it again to renew them.
#
#   scripts/pin-images.sh [FOLDER]
#
# It asks the registry by `docker buildx imagetools`, and changes nothing if an image cannot be found there.
set -eu

folder=${1:-$(dirname "$0")/..}
dockerfile=$folder/Dockerfile
compose=$folder/docker-compose.yaml
names=$(sed -n -e 's/^ARG \(BASE\|NODE\)_IMAGE=\([^@]*\).*/\2/p' "$dockerfile"
  sed -n 's/.*{REDIS_IMAGE:-\([^}@]*\).*/\1/p' "$compose")
pins=""
for name in $names; do
  digest=$(docker buildx imagetools inspect "$name" --format '{{.Manifest.Digest}}')
  case $digest in
    sha256:*) pins="$pins $name@$digest" ;;
    *) echo "pin-images: the registry gave no digest of $name, but: $digest" >&2; exit 1 ;;
  esac
done
for pin in $pins; do
  name=${pin%@*}
  sed -i.old -e "s|^\(ARG [A-Z]*_IMAGE=\)$name\(@[a-z0-9:]*\)\{0,1\}\$|\1$pin|" "$dockerfile"
  sed -i.old -e "s|{REDIS_IMAGE:-$name\(@[a-z0-9:]*\)\{0,1\}}|{REDIS_IMAGE:-$pin}|" "$compose"
  rm -f "$dockerfile.old" "$compose.old"
  echo "$pin"
done
