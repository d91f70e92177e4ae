# Every command builds what it needs first. A bare Debian machine with python3.11 and make is enough.
# PYTHON=/path/to/python3 chooses the interpreter, ARGS="…" is passed on to the command.

VENV  := .venv
PY    := $(VENV)/bin/python
READY := $(VENV)/.installed
BENCH := $(VENV)/bench
SUITE := $(VENV)/pykka-suite/.unpacked

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help ready demo test check bench replay format layers coverage mutants clean moved postgres tmux

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
		printf 'make %-10s %s\n' "$$name" "$$text"; done

demo: $(READY) ## a session, a crash and a recovery, in a few seconds
	@$(VENV)/bin/jidoka demo $(ARGS)

ready: $(READY) $(SUITE) postgres tmux ## whatever the tests need

test: ready ## all tests; needs nothing running
	@$(PY) -m pytest -q $(ARGS)

check: $(READY) ## style, types, floors, and the code in the README
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/basedpyright
	@$(VENV)/bin/lint-imports --no-logo
	@$(PY) -m pytest -q tests/doors/test_readme.py

bench: $(BENCH)/.installed ## measure; ARGS=--json for a machine
	@$(BENCH)/bin/python -m tests.bench $(ARGS)

replay: $(READY) ## run recorded dialogues: FILE=dialogues.jsonl.gz [ARGS="--kill-rate 0.01"]
	@test -n "$(FILE)" || { echo 'usage: make replay FILE=dialogues.jsonl.gz [ARGS="--kill-rate 0.01"]'; exit 2; }
	@$(VENV)/bin/jidoka replay "$(FILE)" $(ARGS)

format: $(READY) ## put imports and layout in order
	@$(VENV)/bin/ruff check --fix --quiet --exit-zero
	@$(VENV)/bin/ruff format

layers: $(READY) ## who may import whom
	@$(VENV)/bin/lint-imports --no-logo

coverage: ready ## all tests, with the lines they miss; below 90 % fails
	@$(PY) -m coverage run -m pytest -q $(ARGS)
	@$(PY) -m coverage report

mutants: $(READY) ## do the tests notice when the code is broken on purpose?
	@$(PY) -m tests.mutants $(ARGS)

clean: ## remove everything that was made here
	rm -rf $(VENV) build dist .coverage .coverage.* .hypothesis .import_linter_cache .pytest_cache .ruff_cache
	find jidoka tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp holds the path it was made for: a copied or moved tree builds its own environment.
ifneq ($(shell cat $(READY) 2>/dev/null),$(CURDIR))
$(READY): moved
endif

$(READY): pyproject.toml .ci/venv
	@.ci/venv $(VENV)
	@$(PY) -m pip install -qq --editable '.[dev]'
	@pwd > $@

# Those it is compared with bring seventy packages along, one of them a pytest plugin: they stay out of the tests' way.
$(BENCH)/.installed: $(READY)
	@.ci/venv $(BENCH)
	@$(BENCH)/bin/python -m pip install -qq --editable '.[bench]'
	@touch $@

# Without it the tests that need it are skipped; where CI is set, its absence is an error.
$(SUITE): $(READY) .ci/pykka-suite .ci/pykka-suite.txt
	@.ci/pykka-suite $(VENV) || test -z "$$CI"

# Installed where root may do so; without it its tests are skipped, and where CI is set that is an error.
postgres tmux:
	@.ci/$@ || test -z "$$CI"
