# Headrace. `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
WORKDIR ?= var
BIN := .venv/bin

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: setup
setup: ## set up what is missing: Java, a compiler, uv, the locked environment
	@scripts/setup.sh

.PHONY: demo
demo: setup ## the example lake and the whole pipeline on it (WORKDIR=var)
	@$(BIN)/headrace lake flights --out "$(WORKDIR)/lake/flights"
	@$(BIN)/headrace run conf/flights.yaml --workdir "$(WORKDIR)"

.PHONY: lint
lint: setup ## ruff, mypy, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

.PHONY: test
test: lint ## every check that CI makes: lint, unit tests, end-to-end tests (TESTS="-k ledger")
	@$(BIN)/pytest -m "not long" $(TESTS)

.PHONY: test-all
test-all: lint ## test, and the tests that take long
	@$(BIN)/pytest $(TESTS)

.PHONY: test-airflow
test-airflow: setup ## the DAGs in a real Airflow, in an environment of its own: 20 minutes
	@scripts/test-airflow.sh $(TESTS)

.PHONY: test-spark35
test-spark35: setup ## Spark's stages and launcher on pyspark 3.5, in a second environment: half an hour
	@scripts/test-spark.sh 3.5 $(TESTS)

.PHONY: test-spark40
test-spark40: setup ## the same on pyspark 4.0
	@scripts/test-spark.sh 4.0 $(TESTS)

.PHONY: docs
docs: setup ## docs/recipe.md, from the recipe's models
	@$(BIN)/python scripts/recipe_reference.py > docs/recipe.md

.PHONY: bench
bench: setup ## prepare beside plain Spark, Spark ML and Polars: 5 million rows, an hour (BENCH=--quick)
	@$(BIN)/python -m benchmarks.prepare --workdir "$(WORKDIR)/benchmarks" $(BENCH)

.PHONY: format
format: setup ## let ruff mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: package
package: setup ## the wheel, and the same as a zip for spark-submit --py-files, in dist/
	@scripts/package.sh dist && ls dist

.PHONY: clean
clean: ## remove what was built, but neither the environment nor WORKDIR
	@rm -rf dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find pipelines jobs tests -name __pycache__ -type d -prune -exec rm -rf {} +
