# Headrace. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
WORKDIR ?= var
BIN := .venv/bin

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: setup
setup: ## install what is missing: Java, a compiler, uv, the locked environment
	@scripts/setup.sh

.PHONY: setup-browser
setup-browser: setup ## install Debian's Chromium, in which `make test-all` opens the reports
	@scripts/setup-browser.sh

.PHONY: screenshots
screenshots: setup-browser setup-terminal ## write the pictures of the documents
	@$(BIN)/pytest tests/e2e/test_pages.py tests/terminal/test_picture.py -k screenshot --screenshots docs/images

.PHONY: setup-terminal
setup-terminal: ## install tmux, in which tests/terminal types into a real terminal (Debian)
	@command -v tmux >/dev/null || { apt-get update -qq && apt-get install -y -qq tmux; } || \
	  echo "tmux cannot be installed here: the tests in tests/terminal will be skipped"

.PHONY: demo
demo: setup ## build the example lake and run the whole pipeline on it (WORKDIR=var)
	@$(BIN)/headrace lake flights --out "$(WORKDIR)/lake/flights"
	@$(BIN)/headrace run conf/flights.yaml --workdir "$(WORKDIR)"

.PHONY: lint
lint: setup ## run ruff, mypy and the import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

# Each worker has a Spark session, ports and folders of its own; the tests of a file stay in one worker.
# Files run in the order of tests/conftest.py: xdist's own has the files of few tests, which are the
# long ones, at the end, where one worker waits for the other.
WORKERS ?= 2
PYTEST := $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile \
	--no-loadscope-reorder --durations 30

.PHONY: test
test: lint ## run what CI runs: lint, unit tests, end-to-end tests (TESTS="-k ledger" WORKERS=2)
	@$(PYTEST) -m "not long" --cov=headrace --cov-report=term:skip-covered $(TESTS)

.PHONY: test-all
test-all: lint setup-browser setup-terminal ## test, and the tests that take minutes (SHARD=1/4: the first of four parts)
	@$(PYTEST) $(if $(SHARD),--shard $(SHARD)) $(TESTS)

.PHONY: mutate
mutate: setup ## run mutation tests on what exactness depends on: hours (ROOM=stream/plan: one room)
	@$(BIN)/python scripts/mutate.py $(ROOM)

.PHONY: test-airflow
test-airflow: setup ## test the DAGs in a real Airflow, in an environment of its own: 20 minutes
	@scripts/test-airflow.sh $(TESTS)

.PHONY: test-spark35
test-spark35: setup ## test the Spark stages and launcher on pyspark 3.5, in a second environment: half an hour
	@scripts/test-spark.sh 3.5 $(TESTS)

.PHONY: test-spark40
test-spark40: setup ## the same on pyspark 4.0
	@scripts/test-spark.sh 4.0 $(TESTS)

STACK ?= newest
PYTHON ?= 3.11
.PHONY: test-stack
test-stack: setup ## test on other versions: STACK=oldest|locked|newest PYTHON=3.12 SPARK=3.5; docs/stacks.md
	@$(BIN)/python scripts/test_stack.py $(STACK) --python $(PYTHON) --spark "$(SPARK)" $(if $(TESTS),-- $(TESTS))

.PHONY: test-connect
test-connect: setup ## test the Spark stages through a Spark Connect server: half an hour
	@scripts/test-connect.sh $(TESTS)

.PHONY: docs
docs: setup ## write the generated pages: recipe keys and their schema, command line, Python, metrics, artifacts
	@$(BIN)/python scripts/recipe_reference.py > docs/recipe.md
	@$(BIN)/headrace schema --out docs/recipe.schema.json >&2
	@$(BIN)/python scripts/cli_reference.py > docs/cli.md
	@$(BIN)/python scripts/python_reference.py > docs/python.md
	@$(BIN)/python scripts/result_reference.py metrics > docs/metrics.md
	@$(BIN)/python scripts/result_reference.py artifacts > docs/artifacts.md
	@$(BIN)/python scripts/page_blocks.py > docs/not-run.md

.PHONY: docs-site
docs-site: docs ## build the site of docs/ into site/, without the network; open site/index.html
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

.PHONY: notebooks
notebooks: setup ## execute the notebooks of docs/ anew, and write what they show
	@$(BIN)/python scripts/execute_notebooks.py

.PHONY: licences
licences: setup ## write docs/licences.md, from the locked environment
	@$(BIN)/python scripts/licences.py > docs/licences.md

.PHONY: bench
bench: setup ## compare prepare with plain Spark, Spark ML and Polars: 5 million rows, an hour (BENCH=--quick)
	@$(BIN)/python -m benchmarks.prepare --workdir "$(WORKDIR)/benchmarks" $(BENCH)

.PHONY: bench-peers
bench-peers: setup ## compare the stream with Ray Data, HF datasets, grain, MosaicML Streaming (BENCH="--rounds 5")
	@scripts/bench-peers.sh --workdir "$(WORKDIR)/benchmarks" $(BENCH)

.PHONY: format
format: setup ## fix and format what ruff can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: package
package: setup ## build the wheel, and a copy as a zip for spark-submit --py-files, in dist/
	@scripts/package.sh dist && ls dist

.PHONY: artifacts
artifacts: setup ## build what a release publishes from the last commit: wheel, sdist, SBOM, checksums, in dist/
	@$(BIN)/python scripts/build_release.py dist

.PHONY: release
release: setup ## cut a release: matrix, CHANGELOG, digests, commit, tag, dist/ (VERSION=1.2.3 DRY_RUN=1)
	@$(BIN)/python scripts/release.py $(VERSION) $(if $(DRY_RUN),--dry-run)

.PHONY: sizes
sizes: setup ## print how large what each extra brings is
	@$(BIN)/python scripts/measure_requirements.py

.PHONY: clean
clean: ## remove build products and caches, but neither the environment nor WORKDIR
	@rm -rf dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find pipelines jobs tests -name __pycache__ -type d -prune -exec rm -rf {} +
