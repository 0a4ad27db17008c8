# The one entrance to everything: `make` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PROTOS := $(wildcard proto/metering/api/v1/*.proto)
WORKERS ?= 2
TRACE ?=
BENCH ?=

.PHONY: help
help: ## Show this list.
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | awk -F ':.*?## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(STAMP): requirements/dev.lock pyproject.toml tools/setup.sh
	@PYTHON="$(PYTHON)" bash tools/setup.sh $(VENV)
	@touch $@

.PHONY: setup
setup: $(STAMP) ## Make .venv with everything that is needed (done by itself before the rest).

.PHONY: demo
demo: $(STAMP) ## Real traffic in, kill -9 both programs meanwhile, exact invoices out. TRACE=file.csv for your own.
	@$(BIN)/python -m examples.llm.demo $(if $(TRACE),--trace "$(TRACE)")

.PHONY: run
run: $(STAMP) ## Start the server and an agent on this machine and stay; data in .run/.
	@$(BIN)/python -m tools.run_local

.PHONY: test
test: check ## Run the checks and every test that fits in CI.
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal -m "not long"

.PHONY: test-long
test-long: $(STAMP) ## Run the long suites too: soak, many kills.
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal --timeout=9000 -m "long or not long"

.PHONY: check
check: $(STAMP) fmt-check lint types imports proto-check tidy docs-check ## Format, lint, types, import arrows, contract, sizes, examples of the docs.

.PHONY: fmt
fmt: $(STAMP) ## Format the code.
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix-only .

.PHONY: fmt-check
fmt-check: $(STAMP)
	@$(BIN)/ruff format --check --quiet . || { echo "not formatted: run 'make fmt'"; exit 1; }

.PHONY: lint
lint: $(STAMP)
	@$(BIN)/ruff check --quiet .

.PHONY: types
types: $(STAMP)
	@$(BIN)/mypy

.PHONY: imports
imports: $(STAMP)
	@$(BIN)/lint-imports --no-cache

.PHONY: proto
proto: $(STAMP) ## Regenerate the stubs from proto/.
	@$(BIN)/python -m grpc_tools.protoc -Iproto --python_out=src --pyi_out=src --grpc_python_out=src $(PROTOS)

.PHONY: proto-check
proto-check: $(STAMP)
	@$(BIN)/buf lint
	@$(BIN)/buf breaking proto --against tests/compatibility/older_contract
	@rm -rf build/proto && mkdir -p build/proto
	@$(BIN)/python -m grpc_tools.protoc -Iproto --python_out=build/proto --pyi_out=build/proto --grpc_python_out=build/proto $(PROTOS)
	@for made in build/proto/metering/api/v1/*; do \
	  cmp -s "$$made" "src/metering/api/v1/$$(basename "$$made")" || { echo "stale stub: $$(basename "$$made"): run 'make proto'"; exit 1; }; \
	done

.PHONY: tidy
tidy: $(STAMP)
	@$(BIN)/pytest -q -n 0 tests/test_tidy.py

.PHONY: docs-check
docs-check: $(STAMP)
	@$(BIN)/pytest -q -n 0 tests/docs

.PHONY: bench
bench: $(STAMP) ## Measure speed and memory beside a limit in the same run. BENCH=name for one of them.
	@$(BIN)/python -m tests.bench $(BENCH)

.PHONY: bench-quota
bench-quota: $(STAMP) ## Overspend and false refusals under partitions and kills, beside two common designs. TRACE=file.csv OPTIONS="--runs 1"
	@$(BIN)/python -m tests.bench.bench_quota $(if $(TRACE),--trace "$(TRACE)") $(OPTIONS)

.PHONY: lock
lock: $(STAMP) ## Resolve the locked development dependencies anew.
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --universal --generate-hashes --upgrade \
	  --no-annotate --no-emit-index-url --no-header --python-version 3.11 --quiet -o requirements/dev.lock

.PHONY: clean
clean: ## Remove what the commands above made.
	@rm -rf $(VENV) .demo .run .bench build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
