# Every target sets up what it needs, from Python 3.11 with its venv module and make.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
EXTRAS := embedded,audit,motor,dask,otel,testing,bench,dev

# The first of these that is there and new enough; `make PYTHON=/path/to/python` decides otherwise.
PYTHON ?= $(shell for each in python3.11 python3; do \
  $$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
  && command -v $$each && break; done)

# Options for pytest: make test TESTS=tests/embedded PYTEST_ARGS=-x
TESTS ?= tests
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test lowest check format bench torture constraints clean

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-20s %s\n", $$1, $$2}'

setup: $(STAMP) ## .venv with everything, by constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "make: Python 3.11 or newer is needed$(if $(PYTHON), and $(PYTHON) is not that);" \
	    "install it (Debian: apt-get install python3 python3-venv) or name one:" \
	    "make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "make: $(PYTHON) lacks the venv module; install it (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $(STAMP)

demo: setup ## the library at work on a server of its own, in a minute
	$(BIN)/integrity demo

# Three at once on two cores: a third of the time is spent waiting, for elections, leases and time-outs.
test: setup ## the tests, on real servers
	$(BIN)/python -m pytest -n 3 --dist worksteal $(PYTEST_ARGS) $(TESTS)

# What pyproject.toml promises of older releases is true of none that nobody has run.
lowest: ## the tests with the oldest releases that pyproject.toml allows
	@test -x .venv-lowest/bin/uv || { "$(PYTHON)" -m venv .venv-lowest && .venv-lowest/bin/python -m pip install --quiet uv; }
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct \
	  --editable '.[embedded,audit,motor,dask,otel,testing,dev]'
	.venv-lowest/bin/python -m pytest -n 3 --dist worksteal $(PYTEST_ARGS) $(TESTS)

check: setup ## formatting, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports

format: setup ## put the code in shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup ## the measurements under benchmarks/
	@set -e; found=; for script in benchmarks/bench_*.py; do \
	  test -e "$$script" || continue; found=1; echo "== $$script"; $(BIN)/python -m "benchmarks.$$(basename "$$script" .py)"; \
	done; test -n "$$found" || echo "nothing yet"

torture: setup ## concurrency and crashes, for longer than the tests do
	@set -e; found=; for script in benchmarks/torture_*.py; do \
	  test -e "$$script" || continue; found=1; echo "== $$script"; $(BIN)/python -m "benchmarks.$$(basename "$$script" .py)"; \
	done; test -n "$$found" || echo "nothing yet"

constraints: ## renew constraints.txt from the newest releases
	@tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && "$(PYTHON)" -m venv "$$tmp/venv" \
	  && "$$tmp/venv/bin/python" -m pip install --quiet '.[$(EXTRAS)]' \
	  && { sed -n '/^#/p' constraints.txt; "$$tmp/venv/bin/python" -m pip freeze \
	    | grep -v '^mongo-integrity'; } > "$$tmp/constraints.txt" \
	  && mv "$$tmp/constraints.txt" constraints.txt

clean: ## remove what the targets made
	rm -rf $(VENV) .venv-lowest build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
