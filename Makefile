# DR Portal. `make help` lists what can be done here.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LAB ?= embedded
VMS ?= 3
PORT ?= 8000
# Tests mostly wait (for Ceph's beats, for a lab's VMs), so there is one process more than there are cores.
JOBS ?= $(COMPUTING)
# What only computes gains nothing from more, and each costs the start of one.
COMPUTING := $(shell expr $$(nproc 2>/dev/null || echo 2) + 1)
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Bytecode is kept, whatever the caller's shell says: without it each of the portal's processes starts three times slower.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test check audit bench bench-live bench-table bench-trail lint types imports openapi bundle docs-check test-python test-postgres test-browser test-frontend kill-anywhere clean

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/.runtime: requirements.txt requirements-demo.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "DR Portal needs Python 3.11 or newer; $(PYTHON) is older. Try: make demo PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing: apt-get install python3-venv"; exit 1; }
	@echo "Installing the portal's Python packages into $(VENV) (once)..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements-demo.txt
	@touch $@

$(BIN)/.dev: $(BIN)/.runtime requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

frontend/node_modules/.stamp: frontend/package-lock.json
	cd frontend && npm ci --no-audit --no-fund
	@touch $@

demo: $(BIN)/.runtime ## Run everything with the embedded two-site lab (LAB=ceph: two real Ceph clusters; VMS=3, PORT=8000)
	@exec $(BIN)/python -m drportal.demo --lab $(LAB) --vms $(VMS) --port $(PORT)

test: test-python test-postgres test-frontend ## Run every test there is, JOBS at a time (parts whose programs are missing say so; CI requires them all)

test-python: $(BIN)/.dev
	$(BIN)/pytest -n $(JOBS)

test-postgres: $(BIN)/.dev ## Run the tests that touch the database once more, on PostgreSQL (of the slow ones those that are about it)
	$(BIN)/python tests/with_postgres.py $(BIN)/pytest -n $(COMPUTING) -o cache_dir=.pytest_cache/postgres -m "not slow or on_postgres" tests/audit tests/inventory tests/people tests/recovery

kill-anywhere: $(BIN)/.dev ## A hundred runs of each kind with their executors killed anywhere, on the embedded lab (`make test` has 25 of each)
	DRPORTAL_KILL_SHARDS=4 $(BIN)/pytest -v -n 2 tests/faults/test_kill_anywhere.py

test-frontend: frontend/node_modules/.stamp
	cd frontend && npm test

check: lint types imports openapi docs-check bundle ## Lint, types, import rules, generated files up to date

lint: $(BIN)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tests/check_file_length.py

types: $(BIN)/.dev
	DRPORTAL_DEBUG=1 $(BIN)/mypy

imports: $(BIN)/.dev
	DRPORTAL_DEBUG=1 $(BIN)/lint-imports

openapi: $(BIN)/.dev ## Check that docs/openapi.json and the migrations fit the code
	DRPORTAL_DEBUG=1 $(BIN)/python manage.py openapi --check
	DRPORTAL_DEBUG=1 $(BIN)/python manage.py makemigrations --check --dry-run

docs-check: $(BIN)/.dev ## Check that the tables and diagrams in docs/ that come from the code are current
	DRPORTAL_DEBUG=1 $(BIN)/python manage.py docs --check

bundle: frontend/node_modules/.stamp ## Rebuild the front end and check that the committed bundle is the same
	cd frontend && npm run check && npm run build
	@test -z "$$(git status --porcelain static/app)" || { git status --short static/app; echo "static/app differs from what frontend/ builds: commit the new bundle."; exit 1; }

# pip-audit has an environment of its own: what it brings is not what the portal runs with.
audit: $(BIN)/.dev ## Look for known holes in dependencies (without advisories from the network it says NOT CHECKED)
	@test -x var/audit/bin/pip-audit || { $(PYTHON) -m venv var/audit && timeout 300 var/audit/bin/pip install --quiet --disable-pip-version-check --timeout 20 --retries 1 -r requirements-audit.txt; } || echo "pip-audit could not be installed."
	@PATH="$(CURDIR)/var/audit/bin:$$PATH" $(BIN)/python -m tests.audit_dependencies

bench: $(BIN)/.dev ## Measure the portal beside its peers on two real Ceph clusters, journal then snapshot mode; hours (N=128, ROUNDS=5; also: bench-trail, bench-live, bench-table)
	$(BIN)/python -m tests.bench --images $(or $(N),128) --rounds $(or $(ROUNDS),5)

bench-trail: $(BIN)/.dev ## Measure pages, appending and verifying of a long trail on SQLite and PostgreSQL (ENTRIES=1000000)
	$(BIN)/python -m tests.bench.trail --entries $(or $(ENTRIES),1000000)

bench-live: $(BIN)/.dev ## Measure what it costs to watch many images of the embedded lab and what the database grows by, and 200 open browsers (IMAGES=10000, ROUNDS=15, SOCKETS=200)
	$(BIN)/python -m tests.bench.live --images $(or $(IMAGES),10000) --rounds $(or $(ROUNDS),15)
	$(BIN)/python -m tests.bench.rounds --images $(or $(IMAGES),10000)
	$(BIN)/python -m tests.bench.growth
	$(BIN)/python -m tests.bench.sockets --sockets $(or $(SOCKETS),200)

bench-table: $(BIN)/.dev ## Measure the table of many images in a browser: first rows, frames while scrolling, filters (IMAGES=10000)
	$(BIN)/python -m tests.bench.table --images $(or $(IMAGES),10000)

clean: ## Remove what was built or run here (not the virtual environment)
	rm -rf var .pytest_cache .mypy_cache .ruff_cache .hypothesis frontend/node_modules
