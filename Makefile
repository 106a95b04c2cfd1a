# Perpetua. `make` without a target lists the targets.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin

export PORT DATA BROKER DEMO KAFKA_HEAP BENCH BENCH_ONLY STAGE PROFILE_S
# Python's images set it; every process of an exchange would compile the same modules again, and pytest rewrite the same tests.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install run test check chaos soak bench profile docs lock clients

help: ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

install: $(BIN)/perpetua ## Create .venv with the packages of the exchange; start nothing
	@echo "$(BIN)/perpetua"

run: $(BIN)/perpetua ## Start the whole exchange on 127.0.0.1 (PORT, DATA, DEMO=1|0)
	@$(BIN)/python -m app run

test: $(VENV)/.installed-dev ## Run the tests on real PostgreSQL and a real Kafka
	@$(BIN)/python -m pytest -n 3 --dist loadgroup

check: $(VENV)/.installed-dev ## Lint, types, import contracts
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

chaos: $(VENV)/.installed-dev ## Inject faults at full size, one to two hours; prints the measurements
	@$(BIN)/python -m pytest -m chaos

soak: $(VENV)/.installed-dev ## Ten minutes of load (BENCH=quick: one), then seeds for an hour (MINUTES)
	@$(BIN)/python -m bench soak
	@$(BIN)/python -m tests.simulation --steps 30 --minutes $(or $(MINUTES),60)

bench: $(VENV)/.installed-dev ## Measure against yardsticks, 10 minutes (BENCH=quick: 3; BENCH_ONLY=P4,P7: some)
	@$(BIN)/python -m bench

profile: $(VENV)/.installed-dev ## Show where a stage spends its time under load (STAGE=api, relay, engine, projection)
	@$(BIN)/python -m bench.profile

docs: $(VENV)/.installed-docs ## Build the documentation into site/, every link checked
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet && echo "site/index.html"

clients: $(VENV)/.installed-dev ## Build the clients of programs as wheels into dist/
	@for CLIENT in clients/*/pyproject.toml; do $(BIN)/uv build --wheel -q --out-dir dist $$(dirname $$CLIENT); done && rm -rf clients/*/build clients/*/src/*.egg-info && ls dist/*.whl

lock: $(VENV)/.installed-dev ## Pin every package with its hashes, from pyproject.toml
	@$(BIN)/uv pip compile pyproject.toml --generate-hashes --universal --python-version 3.11 -q --no-header -o requirements.lock
	@$(BIN)/uv pip compile pyproject.toml --extra dev --generate-hashes --universal --python-version 3.11 -q --no-header -o requirements-dev.lock
	@$(BIN)/uv pip compile pyproject.toml --extra docs --generate-hashes --universal --python-version 3.11 -q --no-header -o requirements-docs.lock

# The marker file is touched last, so that an interrupted set-up does not look finished.
$(VENV)/.installed: requirements.lock
	@echo "setting up $(VENV) (first use, about a minute) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed (make PYTHON=/path/to/python3.11)")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python app/release/install.py packages requirements.lock
	@touch $@

$(BIN)/perpetua: pyproject.toml app/release/install.py $(VENV)/.installed
	@$(BIN)/python app/release/install.py scripts $(BIN)

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@$(BIN)/python app/release/install.py packages requirements-dev.lock
	@touch $@

$(VENV)/.installed-docs: requirements-docs.lock $(VENV)/.installed
	@$(BIN)/python app/release/install.py packages requirements-docs.lock
	@touch $@
