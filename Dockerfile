# The images of the nodes: one target for each of api, scheduler, worker and controller.
#
#   docker build --target worker -t dask-graphql-worker .
#
# BuildKit builds only what the target needs; a worker's build never sees Node. buildah does too, where there is a folder
# `tasks`, empty or not.
#
# Arguments beside those explained below:
#   TASK_PACKAGES  your task modules for all nodes: pip requirements, or the folder `tasks` of this directory.

ARG BASE_IMAGE=python:3.12-slim
# Where packages are installed: the base, or another one where that takes a compiler, a pip configuration or
# certificates, none of which come into the nodes' images. Its Python must be the base's, at the same path.
ARG BUILD_IMAGE=
ARG NODE_IMAGE=node:22-slim
# Where the web pages come from. build: built here. prebuilt: graphql_api/console/dist as it is (`make console`).
ARG CONSOLE=build


# What each node needs, in two files per node: the releases that are installed, with their hashes, and the ranges that a
# user's own packages may move them in. All nodes' have the same names: equal contents then give equal layers, which the
# images share.
FROM ${BUILD_IMAGE:-${BASE_IMAGE}} AS requirements
WORKDIR /src
COPY setup.cfg requirements.lock ./
COPY scripts/requirements.py scripts/
RUN set -e; for node in api scheduler worker controller; do \
      mkdir -p /requirements/$node; \
      python3 scripts/requirements.py $node > /requirements/$node/requirements.txt; \
      python3 scripts/requirements.py --locked $node > /requirements/$node/requirements.lock; \
    done


# An environment without pip, and the commands that fill and compile it. Bytecode that is never checked against its
# source does not depend on what a copy does to file times.
FROM ${BUILD_IMAGE:-${BASE_IMAGE}} AS environment
ENV PYTHON=/opt/dask-graphql/bin/python \
    PIP_CACHE_DIR=/var/cache/pip \
    INSTALL="python3 -m pip --python /opt/dask-graphql/bin/python install --no-compile --disable-pip-version-check" \
    COMPILE="python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash"
RUN python3 -m venv --without-pip /opt/dask-graphql
WORKDIR /src
COPY docker/add-tasks.sh /


FROM environment AS dependencies-api
COPY --from=requirements /requirements/api/ /
RUN --mount=type=cache,target=/var/cache/pip $INSTALL --require-hashes -r /requirements.lock && $COMPILE /opt/dask-graphql/lib

FROM environment AS dependencies-scheduler
COPY --from=requirements /requirements/scheduler/ /
RUN --mount=type=cache,target=/var/cache/pip $INSTALL --require-hashes -r /requirements.lock && $COMPILE /opt/dask-graphql/lib

FROM environment AS dependencies-worker
COPY --from=requirements /requirements/worker/ /
RUN --mount=type=cache,target=/var/cache/pip $INSTALL --require-hashes -r /requirements.lock && $COMPILE /opt/dask-graphql/lib

FROM environment AS dependencies-controller
COPY --from=requirements /requirements/controller/ /
RUN --mount=type=cache,target=/var/cache/pip $INSTALL --require-hashes -r /requirements.lock && $COMPILE /opt/dask-graphql/lib


# The user's tasks, if any. The folder `tasks` need not exist: a pattern may match nothing.
FROM dependencies-api AS tasks-api
ARG TASK_PACKAGES=""
COPY task[s] tasks/
RUN --mount=type=cache,target=/var/cache/pip /add-tasks.sh /requirements.txt && $COMPILE /opt/dask-graphql/lib

FROM dependencies-scheduler AS tasks-scheduler
ARG TASK_PACKAGES=""
COPY task[s] tasks/
RUN --mount=type=cache,target=/var/cache/pip /add-tasks.sh /requirements.txt && $COMPILE /opt/dask-graphql/lib

FROM dependencies-worker AS tasks-worker
ARG TASK_PACKAGES=""
COPY task[s] tasks/
RUN --mount=type=cache,target=/var/cache/pip /add-tasks.sh /requirements.txt && $COMPILE /opt/dask-graphql/lib

FROM dependencies-controller AS tasks-controller
ARG TASK_PACKAGES=""
COPY task[s] tasks/
RUN --mount=type=cache,target=/var/cache/pip /add-tasks.sh /requirements.txt && $COMPILE /opt/dask-graphql/lib


# The product itself, as a tree that is laid over an environment.
FROM environment AS product
COPY docker/healthcheck.py /product/
COPY setup.cfg pyproject.toml README.m[d] LICENS[E] ./
COPY scripts/build_backend.py scripts/
COPY cluster cluster
COPY dask_graphql dask_graphql
COPY graphql_api graphql_api
RUN --mount=type=cache,target=/var/cache/pip \
    rm -rf graphql_api/console \
    && $INSTALL --no-deps --config-settings console=none --prefix /product . && $COMPILE /product

FROM ${NODE_IMAGE} AS console-build
WORKDIR /src
COPY package.json package-lock.json ./
COPY clients/js/client/package.json clients/js/client/
COPY clients/js/react/package.json clients/js/react/
COPY graphql_api/console/package.json graphql_api/console/
RUN --mount=type=cache,target=/var/cache/npm npm ci --cache /var/cache/npm --no-audit --no-fund
COPY clients/js clients/js
COPY graphql_api/console graphql_api/console
RUN rm -rf clients/js/*/dist graphql_api/console/dist && npx --no-install tsc --build clients/js/react \
    && npm run build --workspace graphql_api/console && mkdir /console && mv graphql_api/console/dist /console/

FROM scratch AS console-prebuilt
COPY graphql_api/console/dist /console/dist

FROM console-${CONSOLE} AS console

FROM product AS product-api
COPY --from=console /console/dist /dist
RUN cd /product/lib/python3*/site-packages/graphql_api && mkdir console && mv /dist console/


# What all nodes have. The official Python images come without bytecode, and a user who may not write beside the sources
# would have the standard library compiled at each start.
FROM ${BASE_IMAGE} AS node
RUN python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash \
      -x '/(test|tests|idlelib|lib2to3|turtledemo|tkinter|ensurepip|site-packages|dist-packages)/' \
      "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/dask-graphql dask-graphql \
    && install -d -o dask-graphql -g dask-graphql /var/lib/dask-graphql /var/lib/dask-graphql/blobs
ENV PATH=/opt/dask-graphql/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DASK_GRAPHQL_DATA_DIR=/var/lib/dask-graphql
WORKDIR /var/lib/dask-graphql
# All that a node writes to: everything else may be read-only. On Fargate, only a volume that is declared here keeps its
# owner and mode.
VOLUME ["/tmp", "/var/lib/dask-graphql"]
# By number, so that a platform can see that it is not root.
USER 10001:10001
ENTRYPOINT ["dask-graphql"]


FROM node AS api
COPY --from=tasks-api /opt/dask-graphql /opt/dask-graphql
COPY --from=product-api /product /opt/dask-graphql
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python3", "-I", "-S", "/opt/dask-graphql/healthcheck.py", "api"]
CMD ["api"]

FROM node AS scheduler
COPY --from=tasks-scheduler /opt/dask-graphql /opt/dask-graphql
COPY --from=product /product /opt/dask-graphql
EXPOSE 8786
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python3", "-I", "-S", "/opt/dask-graphql/healthcheck.py", "scheduler"]
CMD ["scheduler"]

FROM node AS controller
COPY --from=tasks-controller /opt/dask-graphql /opt/dask-graphql
COPY --from=product /product /opt/dask-graphql
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python3", "-I", "-S", "/opt/dask-graphql/healthcheck.py", "controller"]
CMD ["controller"]

FROM node AS worker
COPY --from=tasks-worker /opt/dask-graphql /opt/dask-graphql
COPY --from=product /product /opt/dask-graphql
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python3", "-I", "-S", "/opt/dask-graphql/healthcheck.py", "worker"]
CMD ["worker"]
