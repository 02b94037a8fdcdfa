# What one types here. `make` alone lists it. Everything runs from .venv, which uv makes from uv.lock; what Python has compiled stays.
UV_VERSION := 0.13.9
PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
RUN := env PYTHONDONTWRITEBYTECODE= .venv/bin/python -m
KEEP ?= 1
AGED ?= 100000
GROUND ?=
.DEFAULT_GOAL := help
.PHONY: help install demo up env upgrade rotate compose-check test check gen clients service bench faults clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.tools/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; found: $$($(PYTHON) --version 2>&1). Install it, or run: make PYTHON=/path/to/python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv .tools || { echo "Python's venv module is missing. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	@.tools/bin/pip install -q --disable-pip-version-check uv==$(UV_VERSION)

.venv/.installed: uv.lock pyproject.toml | $(if $(filter .tools/bin/uv,$(UV)),.tools/bin/uv)
	@$(UV) sync --frozen --quiet --compile-bytecode --python $(PYTHON)
	@touch $@

install: .venv/.installed ## packages from the lock file
demo: install ## the main job: a city's day on real Kafka, Postgres and Redis (KEEP=0 ends after the reconciliation)
	@KEEP=$(KEEP) exec $(RUN) shared.devtools.demo
up: install ## the suite alone, empty, in the foreground; its state stays in .beegrid/
	@exec $(RUN) shared.devtools.up
env: install ## secrets for docker compose, into .env (keeps what is there); says what would keep it from starting
	@exec $(RUN) shared.devtools.compose_env $(if $(ANYWAY),--anyway)
upgrade: install ## the containers' services one after another on a new image, under requests (BUILD=0: it is there)
	@exec $(RUN) shared.devtools.containers.upgrade $(if $(filter 0,$(BUILD)),--no-build)
rotate: install ## a new password for a server of docker compose: NAME=POSTGRES_PASSWORD or KAFKA_ADMIN_PASSWORD
	@exec $(RUN) shared.devtools.containers.rotate $(NAME)
compose-check: install ## docker-compose.yml in a real engine, from nothing to the demo's end (says so where there is none)
	@exec $(RUN) shared.devtools.containers.check
test: install ## all tests on real servers, three files at a time (ARGS=… for some of them)
	@exec $(RUN) pytest -q $(or $(ARGS),-n 3 --dist loadscope --no-loadscope-reorder)

check: install ## style, types, layers, contracts, generated files, migrations
	@exec $(RUN) shared.devtools.check
service: install ## a new service that runs and passes all checks: NAME=lockers (and ZH=储物柜)
	@exec $(RUN) shared.devtools.new_service $(NAME) $(if $(ZH),--zh $(ZH)) $(if $(DEED),--deed $(DEED))

clients: install ## examples, and clients generated from OpenAPI, in TypeScript, Python, Go and Java compile and work (downloads; minutes)
	@BEEGRID_CLIENTS=1 exec $(RUN) pytest -q -n0 -rs tests/clients tests/journeys/test_examples.py $(ARGS)
gen: install ## generated documents and schemas
	@exec $(RUN) shared.devtools.gen

bench: install ## five hops against the same hops bare; a start of twenty services; at 0 and at AGED reports (0: not; GROUND=DIR keeps them); writes docs/capacity.md
	@$(RUN) shared.devtools.bench
	@$(RUN) shared.devtools.bench.twenty; twenty=$$?; $(if $(filter-out 0,$(AGED)),$(RUN) shared.devtools.bench --aged $(AGED) $(if $(GROUND),--ground $(GROUND));) \
		found=$$?; $(RUN) shared.devtools.capacity; exit $$((found | twenty))

faults: install ## promises under faults, at full size (long)
	@BEEGRID_FAULTS=full BEEGRID_LEDGER_STEPS=10000 exec $(RUN) pytest -q tests/promises tests/alerts tests/services/points/test_ledger_machine.py \
		tests/services/notifications/test_resealing.py tests/doors/strangers/test_strangers.py tests/kit/consuming/test_odd_records.py tests/kit/messaging/test_fair.py tests/journeys/test_restore_drill.py $(ARGS)

clean: ## remove what the commands above have made here
	rm -rf .venv .tools build .beegrid .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
