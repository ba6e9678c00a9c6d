# Everything that a person or CI runs, by name. `make` alone lists it.
#
# Needed on the machine: Python 3.11 or later with its venv module, and make. The rest goes into two folders here:
# .uv/ holds the pinned uv, .venv/ what uv.lock names. `make clean` removes both.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV
# Trust what the machine trusts, as pip does: a company's mirror may have a certificate of its own.
export UV_SYSTEM_CERTS ?= true

UV_VERSION := 0.13.9
SWAGGER_UI_VERSION := 5.35.0

# The first interpreter that starts and is new enough. Another one: make PYTHON=/path/to/python3.12 …
ifndef PYTHON
PYTHON := $(shell for python in python3.13 python3.12 python3.11 python3; do \
	"$$python" -c 'import sys; print(sys.executable if sys.version_info >= (3, 11) else sys.exit(1))' 2>/dev/null \
	&& break; done)
endif

BIN := .venv/bin
RUNTIME := .venv/.runtime-stamp
DEV := .venv/.dev-stamp
UV := UV_PYTHON_DOWNLOADS=never UV_PYTHON="$(PYTHON)" UV_PROJECT_ENVIRONMENT=.venv .uv/bin/uv
SWAGGER_UI := services/api/headrace_api/static/swagger-ui

# Arguments for the command behind dev, demo, servers, lock and the benchmarks; extra ones for pytest.
ARGS ?=
PYTEST_ARGS ?=
WORKERS ?= auto

# Each stage says how many seconds after the start it begins.
START := $(shell date +%s)
stage = @printf '[%4d s] %s\n' "$$(($$(date +%s) - $(START)))"

##@ Run it

.PHONY: demo
demo: $(RUNTIME) ## start everything in one process, send real events through an example workflow, show what happens
	@$(BIN)/headrace demo $(ARGS)

.PHONY: dev
dev: $(RUNTIME) ## keep the engine running, API at http://127.0.0.1:8080 (ARGS="--data DIR" keeps the runs)
	@$(BIN)/headrace dev $(ARGS)

.PHONY: up
up: $(DEV) ## the production shape without Docker: Kafka, MongoDB and the four services, a process each (ARGS="--data DIR")
	@$(BIN)/python -m tools.up $(ARGS)

.PHONY: servers
servers: $(DEV) ## Kafka and MongoDB on this machine until Ctrl-C, without Docker (ARGS="--data DIR" keeps their data)
	@$(BIN)/python -m tools.servers $(ARGS)

##@ Prove it

.PHONY: test
test: check ## all that proves the project: the checks below, then every test
	$(stage) 'tests: pytest'
	@$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist loadgroup $(PYTEST_ARGS)

.PHONY: faults-long
faults-long: $(DEV) ## broker and database away for five minutes and a half each, no part of `test`, about 13 minutes
	@$(BIN)/python -m pytest -m long -s tests/faults $(ARGS)

.PHONY: check
check: lint types schemas-check ## all checks that need no test run

.PHONY: lint
lint: $(DEV) ## style, format, function and module lengths, names, texts, import contracts
	$(stage) 'lint: ruff'
	@$(BIN)/ruff check --quiet --output-format=concise .
	@$(BIN)/ruff format --check --quiet . || { echo 'not formatted: run `make format`'; exit 1; }
	$(stage) 'lint: lengths, names, texts'
	@$(BIN)/python -m tools.check_lengths
	@$(BIN)/python -m tools.check_names
	@$(BIN)/python -m tools.check_texts
	$(stage) 'lint: import contracts'
	@said=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$said"; exit 1; }

.PHONY: types
types: $(DEV) ## mypy, strict
	$(stage) 'types: mypy'
	@$(BIN)/mypy --no-error-summary

.PHONY: schemas-check
schemas-check: $(DEV) ## are the files in schemas/ what the models say?
	$(stage) 'schemas: drift'
	@$(BIN)/python schemas/generate.py --check

.PHONY: bench
bench: $(DEV) ## measure the services on Kafka and MongoDB against their floor, about six minutes (ARGS=--quick: in short)
	@$(BIN)/python -m bench.production $(ARGS)

.PHONY: bench-embedded
bench-embedded: $(DEV) ## measure the embedded engine against its own floor; prints a table, writes JSON
	@$(BIN)/python -m bench.embedded $(ARGS)

##@ Work on it

.PHONY: setup
setup: $(DEV) ## only make the environment

.PHONY: format
format: $(DEV) ## format the code and mend what ruff can mend
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

.PHONY: schemas
schemas: $(DEV) ## write schemas/ anew from the models
	@$(BIN)/python schemas/generate.py

.PHONY: lock
lock: $(DEV) ## bring uv.lock up to date with pyproject.toml (ARGS=--upgrade: newer versions)
	@$(UV) lock $(ARGS)

.PHONY: vendor-swagger
vendor-swagger: ## fetch SWAGGER_UI_VERSION of Swagger UI into the api service (needs npm and tar)
	@sh tools/vendor_swagger.sh $(SWAGGER_UI_VERSION) $(SWAGGER_UI)

.PHONY: clean
clean: ## remove the environments and every cache; keeps the data of your engines
	@rm -rf .venv .uv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

# The environment is made again only when the lock or the project file changed.
define environment
@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo 'Headrace needs Python 3.11 or later, and $(if $(PYTHON),"$(PYTHON)" is not,found none).' >&2; \
	echo 'Install it, or say where it is: make PYTHON=/path/to/python3.12 …' >&2; exit 1; }
@echo 'Setting up the environment (once) …'
@test "$$(cat .uv/version 2>/dev/null)" = '$(UV_VERSION)' || { rm -rf .uv && "$(PYTHON)" -m venv .uv \
	&& .uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv==$(UV_VERSION)' \
	&& echo '$(UV_VERSION)' >.uv/version; }
endef

$(RUNTIME): uv.lock pyproject.toml
	$(environment)
	@$(UV) sync --quiet --frozen --no-dev --inexact
	@touch $(RUNTIME)

$(DEV): uv.lock pyproject.toml
	$(environment)
	@$(UV) sync --quiet --frozen
	@touch $(RUNTIME) $(DEV)
