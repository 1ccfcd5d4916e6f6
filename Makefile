# The commands of this repository. `make` alone lists them.
#
# Everything is installed into $(VENV) by pip under constraints.txt. Installation is repeated only where pyproject.toml or
# constraints.txt changed since. Another interpreter: make PYTHON=python3.12 test

PYTHON ?= python3
VENV ?= .venv
# Tests that run side by side. Those of faults are apart (make test-faults), as they watch how long things take.
TEST_WORKERS ?= 2
# Tests of one file share what they made. Files start in the order that tests/conftest.py gives them, longest first.
SIDE_BY_SIDE := --numprocesses $(TEST_WORKERS) --no-loadscope-reorder
BIN := $(VENV)/bin
# Images of containers switch off the files of compiled modules. Each of the hundreds of commands and jobs that tests start
# would then compile 30 to 60 modules of ours anew, which takes 0.2 s of its 1 to 2 s.
export PYTHONDONTWRITEBYTECODE :=
DEMO_READY := $(VENV)/.installed-demo
DEV_READY := $(VENV)/.installed-dev
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable

.DEFAULT_GOAL := help
.PHONY: help demo test all-tests test-fast services test-faults test-services test-long stop-services lint docs peers clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(DEMO_READY) ## compute the barrier of a lithium hop in LiFePO4 (minutes); results in demo/
	$(BIN)/python examples/demo.py

test: lint ## run linters, types, import rules, all tests, and build the docs with warnings as errors
	$(MAKE) --no-print-directory --jobs 2 all-tests docs

# Beside the documentation, which takes one processor for minutes: tests wait for jobs now and then.
all-tests:
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --dist loadfile --ignore tests/services

test-fast: lint ## run linters, types, import rules and the quick tests
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --dist loadfile -m 'not slow and not services'

test-faults: $(DEV_READY) ## run the tests that kill workers and daemons, cut off disks and start machines again (ten minutes)
	EMBARRIER_NO_SKIPS=1 $(BIN)/python -m pytest tests/services

services: ## install (apt, root) and start Slurm, RabbitMQ, PostgreSQL; Quantum ESPRESSO and Chromium too; for tests only
	tests/services/services.sh start

test-services: $(DEV_READY) ## run the tests that need `make services`, and those of test-faults beside them
	EMBARRIER_NO_SKIPS=1 $(BIN)/python -m pytest $(SIDE_BY_SIDE) --dist loadfile --timeout 1200 -m 'slow and not long' tests/services

test-long: $(DEV_READY) ## run the tests that take more than ten minutes of a core each
	EMBARRIER_NO_SKIPS=1 $(BIN)/python -m pytest --timeout 3600 -m long tests/services

stop-services: ## end what `make services` started
	tests/services/services.sh stop

peers: .venv-peers/.installed ## install the packages that the benchmarks compare with, in .venv-peers

lint: $(DEV_READY) ## run linters, types and import rules only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(DEV_READY) ## build the documentation into docs/_build/html
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -b html docs docs/_build/html
	@echo 'The documentation is at docs/_build/html/index.html'

clean: ## remove what the commands made, the environment and demo/ included
	rm -rf $(VENV) demo demo-* docs/_build docs/_generated docs/reference/modules build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info

# The demo needs no tools for development; an environment made for development serves it as it is.
$(DEMO_READY): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) '.[potential]'
	@touch $@

$(DEV_READY): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) '.[dev,docs]'
	@touch $@ $(DEMO_READY)

# Peers have an environment of their own: none of their dependencies is one of ours.
.venv-peers/.installed: tests/benchmarks/peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --disable-pip-version-check --requirement tests/benchmarks/peers.txt
	@touch $@

# Debian splits ensurepip off Python; without it `python3 -m venv` leaves a broken environment behind.
$(BIN)/python:
	@command -v $(PYTHON) > /dev/null || \
	  { echo "There is no $(PYTHON) here. On Debian or Ubuntu: apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is $$($(PYTHON) --version), but 3.11 or newer is needed. Name another: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || \
	  { echo "$(PYTHON) cannot make environments. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
