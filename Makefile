# Every task of the project; CI runs `make test`. The virtual environment is made once, and again when the lock changes.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint type bench bench-peers bench-publish microbench profile histories books leadtime sim bounds faults audit lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## make .venv with the locked packages

$(INSTALLED): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON): not found - install Python 3.11 or later, or run make with PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' || { \
	  echo "$(PYTHON): expected Python 3.11 to 3.14, got $$($(PYTHON) --version 2>&1) - run make with PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## watch simulated accounts live months in minutes, or INPUT=folder of histories (Ctrl-C ends it)
	$(BIN)/bellwether demo $(if $(INPUT),--input $(INPUT))

test: lint type setup ## lint, types and every test but the long rounds
	$(BIN)/pytest

check: lint type ## lint and types only

lint: setup ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: setup ## mypy, strict
	$(BIN)/mypy

bench: setup ## measure throughput on this machine; RESULTS=file keeps the figures
	$(BIN)/bellwether bench $(if $(RESULTS),--results $(RESULTS))

bench-publish: setup ## write the figures of docs/bench.json into README and documents
	$(BIN)/python -m tests.bench.publish

PEERS := .venv/peers
bench-peers: setup $(PEERS)/.installed ## the same beside Quix Streams, Bytewax and stock Faust, ROUNDS times (1); RESULTS=file keeps the figures
	$(BIN)/python -m tests.bench.side_by_side --python $(PEERS)/bin/python --rounds $(or $(ROUNDS),1) $(if $(RESULTS),--results $(RESULTS))

$(PEERS)/.installed: tests/bench/peers/requirements.txt | setup
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info >= (3, 13))' || { echo "bench-peers: expected Python 3.11 or 3.12 in .venv, as Bytewax has nothing for later ones - remove .venv, run make with PYTHON=python3.11"; exit 1; }
	$(BIN)/python -m venv --clear $(PEERS)
	$(PEERS)/bin/pip install --quiet --require-hashes -r $<
	@touch $@

microbench: setup ## time each stage by itself; COMPARE=1 beside the last one kept, KEEP=1 keeps this one
	$(BIN)/pytest tests/bench/test_stages.py --benchmark-enable --benchmark-columns=median,iqr,rounds --benchmark-sort=name \
	  $(if $(KEEP),--benchmark-autosave) $(if $(COMPARE),--benchmark-compare)

profile: setup ## where the time of applying goes, function by function
	$(BIN)/python -m streams.bench.profile

leadtime: setup ## how early a fading account is noticed, on 20 books that no threshold was set on
	$(BIN)/python -m streams.bench.leadtime

histories: setup ## backtest and calibrate the presets on the real histories in the folder DATA, as the table of docs/results.md
	$(BIN)/python -m streams.backtest.histories $(DATA)

books: setup ## calibrate a preset on one simulated book and judge it on another, as the table of docs/results.md
	$(BIN)/python -m streams.backtest.books

sim: setup ## simulate SEEDS more seeds of crashes and other faults (300); results add up over rounds
	$(BIN)/python -m tests.simulation.rounds --seeds $(or $(SEEDS),300)

bounds: setup ## run the laws of the state with every index of the kernel checked
	NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$$(mktemp -d) $(BIN)/pytest -q tests/state/test_partition_laws.py tests/state/test_switching.py tests/state/test_against_oracle.py

faults: setup ## break real brokers, workers and Redis, ROUNDS times each class (1); results add up over rounds
	$(BIN)/python -m tests.faults --rounds $(or $(ROUNDS),1) $(foreach name,$(CLASSES),--class $(name)) $(if $(RESULTS),--results $(RESULTS),--publish)

audit: setup ## ask a database of known weaknesses about the locked packages; says so when it cannot
	$(BIN)/python .ci/audit

COMPILE := uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 --extra build \
  --custom-compile-command "make lock"
lock: ## write requirements.lock, and the image's part of it, anew from pyproject.toml (needs uv)
	$(COMPILE) --extra dev --extra fit --extra parquet --output-file requirements.lock pyproject.toml
	$(COMPILE) --constraint requirements.lock --output-file deploy/requirements.lock pyproject.toml
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 --custom-compile-command "make lock" \
	  --output-file tests/bench/peers/requirements.txt tests/bench/peers/requirements.in

clean: ## remove .venv and caches
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist *.egg-info
