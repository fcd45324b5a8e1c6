# Estafette: `make run`, then `make demo` in another terminal. `make help` lists the rest.
#
# Every target makes its own virtual environment from the lock, with hashes, and again only when
# the lock changed. PYTHON=/path/to/python3.12 and VENV=/elsewhere override the choices.
# ARGS is handed to the program: make run ARGS="--port 9000".

VENV ?= .venv
ARGS ?=
WORKERS ?= 2
PEERS ?= web mail

MIN_PYTHON := 3.11
PYTHONS := python3 python3.14 python3.13 python3.12 python3.11
PY = $(VENV)/bin/python
PIP = $(PY) -m pip --disable-pip-version-check --quiet install --require-hashes
COMPILE = $(PY) -m uv pip compile --quiet --universal --python-version $(MIN_PYTHON) \
	--generate-hashes --no-emit-index-url --no-header
SOURCES = scheduler channels tests

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help run demo test test-peers test-live check lint format types floors lock bench bench-newsletter chaos chaos-newsletter clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.runtime ## start everything on this machine, with practice platforms
	@exec $(PY) -m scheduler run $(ARGS)

demo: $(VENV)/.runtime ## a week of 30 posts in which a page vanishes and comes back, on a running `make run`
	@exec $(PY) -m scheduler demo $(ARGS)

test: $(VENV)/.dev ## the test suite: real Redis, SQLite, PostgreSQL, SMTP and practice platforms
	@$(PY) -m pytest -n $(WORKERS) $(ARGS)

test-peers: $(VENV)/.dev ## the tests against other people's servers (WordPress, Postfix, Dovecot)
	@sh tests/peers/install.sh $(PEERS)
	@$(PY) -m pytest -m peers $(ARGS)

test-live: $(VENV)/.dev ## publish and take down with the real accounts that the environment names (tests/live)
	@$(PY) -m pytest -m live -rs tests/live $(ARGS)

check: lint format types floors test ## all that CI checks; documentation is tested with the rest

lint: $(VENV)/.dev ## ruff
	@$(PY) -m ruff check --quiet .

format: $(VENV)/.dev ## the formatter would change nothing
	@$(PY) -m ruff format --quiet --diff .

types: $(VENV)/.dev ## mypy, strict
	@$(PY) -m mypy --no-error-summary

floors: $(VENV)/.dev ## who may import whom (import-linter)
	@$(VENV)/bin/lint-imports --no-logo

bench: $(VENV)/.dev ## measure against the limit of this machine; asserts nothing
	@exec $(PY) -m tests.bench $(ARGS)

bench-newsletter: $(VENV)/.dev ## mails per second beside postfix's smtp-source and aiosmtplib
	@exec $(PY) -m tests.bench.newsletter $(ARGS)

chaos-newsletter: $(VENV)/.dev ## kill a mailing again and again: nobody skipped, nobody doubled
	@exec $(PY) -m tests.chaos.newsletter $(ARGS)

chaos: $(VENV)/.dev ## kill, freeze and empty things at random, then compare the ledgers
	@exec $(PY) -m tests.chaos $(ARGS)

lock: $(VENV)/.dev ## resolve pyproject.toml again; ARGS=--upgrade takes newer versions
	@$(COMPILE) $(ARGS) pyproject.toml --output-file requirements.lock
	@$(COMPILE) $(ARGS) pyproject.toml --all-extras --group dev \
		--constraint requirements.lock --output-file requirements-dev.lock

clean: ## remove the virtual environment and caches; the data directory stays
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

# A shim on PATH may be there and start nothing, so each candidate has to answer.
$(VENV)/.created:
	@old_enough='import sys; sys.exit(sys.version_info < tuple(map(int, "$(MIN_PYTHON)".split("."))))'; \
	found=; \
	for candidate in $(or $(PYTHON),$(PYTHONS)); do \
		if "$$candidate" -c "$$old_enough" >/dev/null 2>&1; then found=$$candidate; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "Estafette needs Python $(MIN_PYTHON) or newer and found none of: $(or $(PYTHON),$(PYTHONS))." \
			"Install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python)" \
			"or name it: make PYTHON=/path/to/python3.12" >&2; \
		exit 2; \
	fi; \
	if ! "$$found" -c 'import ensurepip, venv' >/dev/null 2>&1; then \
		echo "$$found cannot make virtual environments: its venv or ensurepip module is missing." \
			"Install it (Debian, Ubuntu: apt install python3-venv) and run make again." >&2; \
		exit 2; \
	fi; \
	echo "Making $(VENV) with $$("$$found" --version) ..." >&2; \
	"$$found" -m venv --clear "$(VENV)" && touch $@

$(VENV)/.runtime: requirements.lock | $(VENV)/.created
	@echo "Installing the packages of $< ..." >&2
	@$(PIP) -r $<
	@touch $@

# The development lock contains the runtime's, at the same versions.
$(VENV)/.dev: requirements-dev.lock | $(VENV)/.created
	@echo "Installing the packages of $< ..." >&2
	@$(PIP) -r $<
	@touch $(VENV)/.runtime $@
