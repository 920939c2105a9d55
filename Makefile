# Everything lives in the clone: the environment in .venv, data and logs in .data.
PYTHON ?= python3
PORT ?= 8000
SECONDS ?= 600
RATE ?= 20
SEED ?= 1
ROUNDS ?= 3
OLD ?= origin/main
NEW ?= .
TASKS ?= 2000
# What is deployed is named by its commit, and by a hash of what was changed since, unless told otherwise.
TAG ?= $(shell git describe --always --dirty=-$$(git diff HEAD 2>/dev/null | sha256sum | cut -c1-8) 2>/dev/null)
AWS_ENVIRONMENT = $(if $(REGION),TF_VAR_region=$(REGION))
VENV := .venv
BIN := $(VENV)/bin
comma := ,
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
# Installs with uv, in a tenth of pip's time. pip does it where there is no uv, or where pip alone knows the way: an index
# or a certificate of its configuration.
define install
	@$(BIN)/uv pip install -q $(3) --python $(1)/bin/python $(2) 2>$@.log || \
		$(1)/bin/python -m pip --disable-pip-version-check -q install $(2)
endef
# Installs what requirements.lock pins for these parts of setup.cfg, by hash and without a look at newer releases.
define install-locked
	@$(BIN)/python scripts/requirements.py --locked $(1) > $@.txt
	$(call install,$(VENV),--require-hashes -r $@.txt,--compile-bytecode)
endef
export PYTHONDONTWRITEBYTECODE :=

# Which of the processes runs which tests: tests/shared_systems.py. Tests of whole systems wait more than they work, so
# three at a time keep two cores busy.
PYTEST := $(BIN)/python -m pytest -n
QUICK := (vital or not (slow or aws or browser)) and not (other_engine or oldest_engine or nightly)

# What uses Redis most, on a cluster of three primaries.
ON_A_CLUSTER := tests/cluster/store tests/cluster/api_node/test_no_gap.py tests/cluster/api_node/test_result_delivery.py \
	tests/whole_system/test_faults.py tests/whole_system/test_one_computation.py

.DEFAULT_GOAL := help
.PHONY: help run test test-all test-rest test-thorough test-pages test-aws docs bench bench-compare bench-regression bench-held bench-growth bench-schedulers bench-profile bench-run bench-changes bench-retry bench-updates bench-workloads bench-families bench-autoscaling fuzz audit audit-terraform deploy images destroy attack chaos soak lint types schema console
.PHONY: lock pin-images pictures test-latest test-images clean setup

help: ## Lists the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

run: setup ## Starts the whole system on this machine (PORT=8000)
	@exec $(BIN)/dask-graphql dev --port $(PORT)

test: $(VENV)/.test test-pages ## Runs the quick tests, which cover what matters most (4 minutes)
	@$(PYTEST) 3 -m "$(QUICK)"

test-all: test test-rest ## Runs every test: the quick ones, then the long ones (20 minutes)

test-rest: $(VENV)/.test test-pages ## Runs the tests that `make test` leaves out: long ones, AWS, the browser, the store on the oldest engine
	@$(PYTEST) 3 -m "not ($(QUICK)) and not (other_engine or nightly)"

test-thorough: $(VENV)/.test test-pages ## Runs every test, on every engine, with Next.js, releasing, a soak and the recipes for frontends, and four times the examples of each property (over an hour)
	@TESTS_THOROUGH=1 $(PYTEST) 3
	@TESTS_THOROUGH=1 TESTS_ENGINE=cluster $(PYTEST) 3 $(ON_A_CLUSTER)

# Without the pages their tests are skipped, or fail where everything must run.
test-pages: $(VENV)/.run
	@scripts/build-console.sh $(BIN)/python || echo "the web pages cannot be built here: their tests are skipped" >&2

test-latest: test-pages ## Runs the quick tests with the newest releases that setup.cfg allows, whatever is locked
	@$(MAKE) --always-make --no-print-directory $(VENV)/latest/.test
	@$(VENV)/latest/bin/python -m pytest -n 3 -m "$(QUICK)"

test-aws: $(VENV)/.test ## Runs the tests of terraform/ and of the fleet on an emulated AWS (needs terraform)
	@$(BIN)/python -m pytest tests/aws

audit-terraform: $(VENV)/.audit ## Looks for unsafe settings in terraform/ (checkov; its .checkov.yaml says what is skipped and why)
	@cd terraform && ../$(VENV)/audit/bin/checkov -d . --config-file .checkov.yaml

deploy: $(VENV)/.run ## Deploys to AWS: images, secrets, apply, wait (TAG=..., REGION=...; docs/aws.md)
	@$(AWS_ENVIRONMENT) $(BIN)/python scripts/aws/deploy.py deploy --tag $(TAG) $(DEPLOY_OPTIONS)

images: $(VENV)/.run ## Builds the images and pushes them to ECR (TAG=...)
	@$(AWS_ENVIRONMENT) $(BIN)/python scripts/aws/deploy.py images --tag $(TAG)

destroy: $(VENV)/.run ## Removes the system from AWS, workers first
	@$(AWS_ENVIRONMENT) $(BIN)/python scripts/aws/deploy.py destroy

lint: $(VENV)/.lint ## Checks style and common faults (ruff), dead code (vulture), undeclared breaking changes of the schema
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/vulture
	@$(BIN)/python scripts/schema_changes.py

types: $(VENV)/.lint $(VENV)/.test console ## Checks types (mypy, strict; tsc for the packages and the web pages)
	@$(BIN)/mypy
	@PATH="$$PATH:$(CURDIR)/$(BIN)" npm run --silent check --workspace graphql_api/console

docs: $(VENV)/.docs console ## Builds the documents as a website in site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

schema: setup ## Writes schema.graphql from the built-in task types
	@env -u DASK_GRAPHQL_TASK_MODULES $(BIN)/dask-graphql schema > schema.graphql

lock: $(VENV)/.uv ## Renews requirements.lock: the newest releases that setup.cfg allows (PACKAGE=redis: of that one alone)
	@$(BIN)/uv pip compile setup.cfg --all-extras --universal --python-version 3.11 --generate-hashes --no-header \
		--quiet $(if $(PACKAGE),--upgrade-package $(PACKAGE),--upgrade) --output-file requirements.lock

pin-images: ## Writes the digests of the base images into Dockerfile and docker-compose.yaml (needs docker and the network)
	@scripts/pin-images.sh

console: $(VENV)/.run ## Builds the JavaScript packages and the web pages
	@scripts/build-console.sh $(BIN)/python

pictures: $(VENV)/.test console ## Takes the pictures of the console in docs/images/ (needs Chromium; a minute)
	@$(BIN)/python -m scripts.console_pictures docs/images

chaos: $(VENV)/.test ## Kills and stops processes at random under load, and checks every guarantee (SECONDS=600 SEED=1 ENGINE=valkey-8, cluster, cluster-redis-7)
	@$(BIN)/python -m tests.chaos --seconds $(SECONDS) --seed $(SEED) $(if $(ENGINE),--engine $(ENGINE))

attack: $(VENV)/.test ## Attacks a node as hostile callers do, for longer than CI does, and prints what it costs (SECONDS=600)
	@ATTACK_SECONDS=$(SECONDS) $(BIN)/python -m pytest -s tests/attack

soak: SECONDS := $(if $(filter file,$(origin SECONDS)),3600,$(SECONDS))
soak: $(VENV)/.test ## Runs mixed work for SECONDS=3600 and measures growth: memory, files, threads, keys (RATE=20)
	@$(BIN)/python -m tests.soak --seconds $(SECONDS) --rate $(RATE)

bench: $(VENV)/.bench ## Compares the system with its peers and writes benchmarks/RESULTS.md (20 minutes; ROUNDS=1: a quick look, 3 minutes)
	@$(BIN)/python -m benchmarks.run --rounds $(ROUNDS) --tasks $(TASKS) $(if $(HELD_MINUTES),--held-minutes $(HELD_MINUTES))

bench-compare: $(VENV)/.run ## Measures two trees in turn: commits, branches or folders (OLD=origin/main NEW=. ROUNDS=6)
	@$(BIN)/python -m benchmarks.compare $(OLD) $(NEW) --rounds $(if $(filter command%,$(origin ROUNDS)),$(ROUNDS),6)

bench-regression: $(VENV)/.test ## Fails if HEAD's change costs over 15 % more processor time (a minute; BENCH_BASE=COMMIT)
	@$(BIN)/python -m benchmarks.compare --ci

bench-held: $(VENV)/.test ## Holds idle subscriptions on several api processes while new tasks run (HELD=100000 PROCESSES=6 MINUTES=10)
	@$(BIN)/python -m benchmarks.held $(if $(HELD),--held $(HELD)) $(if $(PROCESSES),--processes $(PROCESSES)) $(if $(MINUTES),--minutes $(MINUTES))

bench-growth: $(VENV)/.bench ## Measures the system with more api nodes, schedulers and workers
	@$(BIN)/python -m benchmarks.growth

bench-profile: $(VENV)/.bench ## Measures the processor time of a short task in each process, and renews what docs/performance.md predicts from it
	@$(BIN)/python -m benchmarks.profile --write

bench-schedulers: $(VENV)/.test ## Measures what a scheduler takes with 10 to 400 simulated workers, and what two and four take
	@$(BIN)/python -m benchmarks.schedulers --rounds $(ROUNDS)

bench-run: $(VENV)/.bench ## Compares run<Name>, submit and subscribe, and waitSeconds: latency and cost (ROUNDS=3)
	@$(BIN)/python -m benchmarks.one_operation --rounds $(ROUNDS)

bench-changes: $(VENV)/.bench ## Measures what subscriptions to tasksChanged cost an api node and Redis
	@$(BIN)/python -m benchmarks.changes

bench-retry: $(VENV)/.test ## Measures what a retry of 100,000 failed tasks costs (TASKS=100000)
	@$(BIN)/python -m benchmarks.bulk_retry $(if $(filter command%,$(origin TASKS)),--tasks $(TASKS))

bench-updates: $(VENV)/.test ## Measures for how long an update, or a replaced node, is felt
	@$(BIN)/python -m benchmarks.updates

bench-workloads: $(VENV)/.test ## Measures time and memory of the example workloads, and of tables out and files in
	@$(BIN)/python -m benchmarks.workloads

bench-families: $(VENV)/.test ## Measures 1,000 parents of ten children; with PEERS=PYTHON, one parent beside Celery, Temporal and Prefect
	@$(BIN)/python -m $(if $(PEERS),benchmarks.families.run --peers $(PEERS),benchmarks.families.many)

bench-autoscaling: $(VENV)/.run ## Compares the scaling policy with Dask's Adaptive and KEDA on virtual time, and writes benchmarks/AUTOSCALING.md
	@$(PIP) install --quiet 'scipy>=1.14,<2'
	@PYTHONHASHSEED=0 $(BIN)/python -m benchmarks.autoscaling

fuzz: $(VENV)/.test ## Sends random input to every transport of a real api (SECONDS=600 for each of four kinds)
	@FUZZ_SECONDS=$(SECONDS) $(BIN)/python -m pytest -s tests/graphql_api/transport/test_fuzz.py

audit: $(VENV)/.run ## Checks the installed packages for known vulnerabilities (needs the network)
	@$(PIP) install 'pip-audit>=2.7,<3'
	@$(BIN)/pip-audit --skip-editable

test-images: ## Builds the images, starts docker-compose.yaml and sends work through it (root, Debian)
	@tests/images/run.sh

clean: ## Removes the environment, the builds and the data
	rm -rf $(VENV) .data build dist site *.egg-info graphql_api/console/dist clients/js/*/dist examples/web-*/dist examples/web-*/.next
	rm -rf node_modules examples/web-*/node_modules tests/clients/node_modules tests/clients/recipes/node_modules
	rm -f scripts/site/mermaid.min.js
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis

setup: $(VENV)/.run console

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "making the environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.uv: $(BIN)/python requirements.lock
	@$(BIN)/python scripts/requirements.py --locked install > $@.txt
	@$(PIP) install --only-binary :all: --require-hashes -r $@.txt || echo "without uv: pip takes a minute longer" >&2
	@touch $@

$(VENV)/.run: $(VENV)/.uv setup.cfg pyproject.toml requirements.lock
	@echo "installing dask-graphql"
	$(call install-locked,base dashboard)
	$(call install,$(VENV),--no-deps -e .)
	@touch $@

$(VENV)/.test: $(VENV)/.run
	@echo "installing what the tests need"
	$(call install-locked,test)
	@scripts/install-browser.sh $(BIN)/python
	@scripts/install-engines.sh $(BIN)/python
	@scripts/install-proxies.sh $(BIN)/python
	@touch $@

# In an environment of its own: what is newer there must not get into the one that requirements.lock describes.
$(VENV)/latest/.test: $(VENV)/.uv
	@echo "installing the newest releases of everything"
	@$(PYTHON) -m venv $(VENV)/latest
	$(call install,$(VENV)/latest,--upgrade -e '.[dashboard$(comma)test]')
	@scripts/install-browser.sh $(VENV)/latest/bin/python
	@scripts/install-engines.sh $(VENV)/latest/bin/python
	@scripts/install-proxies.sh $(VENV)/latest/bin/python
	@touch $@

# In an environment of its own: it pins what the tests need newer.
$(VENV)/.audit: $(VENV)/.uv
	@echo "installing the auditor"
	@$(PYTHON) -m venv $(VENV)/audit
	$(call install,$(VENV)/audit,'checkov>=3.2$(comma)<4')
	@touch $@

# arq has an environment of its own: it needs a redis-py that is older than ours. Without it the report has no arq.
$(VENV)/.bench: $(VENV)/.run
	@echo "installing the peers"
	$(call install-locked,bench)
	@$(PYTHON) -m venv $(VENV)/arq
	$(call install,$(VENV)/arq,'arq>=0.26$(comma)<1' fastapi gmpy2 orjson uvicorn) || echo "arq is left out" >&2
	@touch $@

$(VENV)/.docs: $(VENV)/.run
	@echo "installing what builds the site"
	$(call install-locked,docs)
	@touch $@

$(VENV)/.lint: $(VENV)/.run
	@echo "installing the linters"
	$(call install-locked,lint)
	@touch $@
