# What a person types. Everything happens in .venv, which is made when first needed and
# again when pyproject.toml or constraints.txt change.

PYTHON  ?= python3
OUT     ?= insiren-demo
WORKERS ?= 2

BIN     := .venv/bin
RUNTIME := .venv/.runtime-installed
DEVELOP := .venv/.develop-installed
BENCH   := .venv/.bench-installed
PEERS   := .bench-peers
PIP     := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test studies check lint docs bench compare clean
.DELETE_ON_ERROR:

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1\t/' | expand -t 16
	@echo
	@echo "PYTHON=python3.12 chooses the interpreter of a new .venv, OUT=DIR the folder of the demo."

demo: $(RUNTIME)  ## run the whole pipeline on what is bundled; the page is OUT/report.html
	$(BIN)/insiren demo --out $(OUT)

test: $(DEVELOP)  ## run all tests; the slowest are printed with their share of compiling
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -q

studies: $(DEVELOP)  ## statistics and endurance, before a release: each study prints what its claim rests on
	@failed=""; for study in studies/*.py; do echo "== $$study"; $(BIN)/python $$study || failed="$$failed $$study"; done; \
	  $(BIN)/python -m pytest -q tests/endurance || failed="$$failed tests/endurance"; \
	  test -z "$$failed" || { echo "failed:$$failed" >&2; exit 1; }

check: lint docs  ## format, lint, types, import order, and the documentation without a warning

lint: $(DEVELOP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

docs: $(DEVELOP)  ## build the documentation into docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

bench: $(BENCH) $(PEERS)/.installed $(PEERS)/.torch-installed  ## print the table of speed and accuracy
	$(BIN)/python benchmarks/run.py

compare: $(RUNTIME) $(PEERS)/.installed  ## check energies and intensities against pySpinW and magnopy
	$(BIN)/python comparison/compare.py $(PEERS)/bin/python

clean:  ## remove what make has made, .venv included
	rm -rf .venv $(PEERS) docs/_build docs/tutorials .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find src tests benchmarks studies examples -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "insiren needs Python 3.11, 3.12 or 3.13; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.12 ..." >&2; \
	  exit 1; }
	$(PYTHON) -m venv .venv

# Order-only on the interpreter: its time stamp says nothing about what is installed.
$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e .
	@touch $@

$(DEVELOP): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[test,check,docs]'
	@touch $@ $(RUNTIME)

$(BENCH): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e '.[bench]'
	@touch $@ $(RUNTIME)

# Other codes have an environment of their own: they are compared with, not depended on.
$(PEERS)/.installed: comparison/peers.txt | $(BIN)/python
	$(BIN)/python -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r comparison/peers.txt
	@touch $@

# Six gigabytes with what it brings: only for the table of speed.
$(PEERS)/.torch-installed: comparison/torch.txt | $(PEERS)/.installed
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r comparison/torch.txt
	@touch $@
