# `make demo` and `make test` are all that a newcomer needs: both set up .venv by themselves.
#
# ARGS passes options on: make demo ARGS="--set run.name=mine", make test ARGS="-k layout".
# PYTHON names the interpreter of .venv; without it the first suitable one on PATH is taken.
# PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu spares a Linux machine without a GPU the CUDA libraries.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
ARGS ?=
PORT ?= 5000
RUNS := $(or $(TALARIA_HOME),$(CURDIR))/runs
TRACKING_URI ?= sqlite:///$(RUNS)/mlflow.db
BENCHMARKS = $(wildcard benchmarks/bench_*.py)

CANDIDATES := python3.11 python3.12 python3.13 python3.14 python3 python
SUITABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in $(CANDIDATES); do \
	if $$name -c '$(SUITABLE)' >/dev/null 2>&1; then echo $$name; break; fi; done)
PIP = $(BIN)/python -m pip --disable-pip-version-check --no-input -q

.PHONY: help setup demo test test-all check bench bench-demo ui clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## create .venv and install the pinned dependencies

# The stamp is removed first and made last: a .venv without it was interrupted and is built anew.
# The build backend and its helper come first, pinned too; an isolated build would take their newest.
$(INSTALLED): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ] || ! $(PYTHON) -c '$(SUITABLE)' 2>/dev/null; then \
		echo "Talaria needs Python 3.11 or newer with its venv module (on Debian: apt install python3-venv), but" \
			"$(if $(PYTHON),$(PYTHON) is not one,found none on PATH): install one, or name it with make PYTHON=/path/to/python3." >&2; \
		exit 2; fi
	@if [ ! -e $(INSTALLED) ]; then rm -rf $(VENV); fi
	@rm -f $(INSTALLED)
	@echo "Setting up $(VENV) with $$($(PYTHON) --version); the first time takes a few minutes ..."
	@if [ ! -d $(VENV) ]; then $(PYTHON) -m venv $(VENV); fi
	@$(PIP) install -c constraints.txt hatchling editables
	@$(PIP) install -c constraints.txt --no-build-isolation -e ".[dev]"
	@touch $(INSTALLED)
	@echo "$(VENV) is ready."

demo: $(INSTALLED) ## run the whole pipeline on generated videos (some minutes on two cores)
	@$(BIN)/python jobs/full_pipeline.py --recipe jobs/recipes/demo.yaml $(ARGS)

check: $(INSTALLED) ## ruff (format and lint) and strict mypy on both packages
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

test: check ## make check, then every test but the slow ones
	@sh tests/side_by_side.sh $(BIN)/python $(ARGS)

test-all: check ## make check, then every test, the slow ones too
	@sh tests/side_by_side.sh $(BIN)/python --all $(ARGS)

bench: $(INSTALLED) ## run every benchmark
	@for bench in $(BENCHMARKS); do echo "== $$bench"; $(BIN)/python $$bench $(ARGS) || exit 1; done

bench-demo: $(INSTALLED) ## time and memory of the demo, from nothing and again
	@$(BIN)/python benchmarks/measure_demo.py $(ARGS)

ui: $(INSTALLED) ## open the MLflow UI of the demo's runs on this machine
	@if [ "$(origin TRACKING_URI)" = file ] && [ ! -e "$(RUNS)/mlflow.db" ]; then \
		echo "$(RUNS)/mlflow.db does not exist yet: run make demo first, or name another store with" \
			"make ui TRACKING_URI=sqlite:////absolute/path/mlflow.db." >&2; exit 2; fi
	@echo "MLflow listens on http://127.0.0.1:$(PORT) in about ten seconds; Ctrl-C ends it."
	@echo "Open an experiment, compare its runs, and set the tag talaria.member to yes on those that shall"
	@echo "enter the ensemble: the default filter of jobs/ensemble.py takes them."
	@MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false $(BIN)/mlflow server --backend-store-uri "$(TRACKING_URI)" \
		--host 127.0.0.1 --port $(PORT) --workers 1

clean: ## remove .venv, caches and build outputs; runs/ and demo_data/ stay
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find platform models jobs tests benchmarks \( -name __pycache__ -o -name '*.egg-info' \) -prune -exec rm -rf {} +
