PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help serve test lint types check audit bench docs lock

help:  ## show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/'

serve: $(VENV)/serve.done  ## install what is missing, bring the database up to date, and serve on PORT (8000)
	$(BIN)/python manage.py migrate --noinput --verbosity 0
	$(BIN)/python manage.py collectstatic --noinput --verbosity 0
	exec $(BIN)/python manage.py serve

test: $(VENV)/test.done  ## run all tests, on SQLite and on PostgreSQL side by side
	$(BIN)/python -m tests.run

lint: $(VENV)/test.done  ## check style, and that imports go one way
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/test.done  ## check types
	$(BIN)/mypy

check: lint types test  ## everything that CI checks
	$(BIN)/python manage.py makemigrations --check --dry-run
	PUBLIC_URL=https://auth.example.com $(BIN)/python manage.py check --deploy --fail-level WARNING

audit: $(VENV)/test.done  ## ask which requirements have known vulnerabilities, where that can be asked
	$(BIN)/python -m tests.audit

bench: $(VENV)/bench.done  ## measure this project and its peers side by side, on SQLite and PostgreSQL (needs wrk)
	for database in sqlite postgresql; do for what in run replays purging; do \
		$(BIN)/python -m benchmarks.$$what --database $$database || exit 1; done; done
	$(BIN)/python -m benchmarks.peer_purging

docs: $(VENV)/serve.done  ## write docs/settings.md and docs/http.md anew, out of the code
	$(BIN)/python -m docs.generate

lock: $(VENV)/test.done  ## pin anew what pyproject.toml asks for
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header -o requirements.txt
	$(BIN)/uv pip compile -q pyproject.toml --group dev -c requirements.txt --universal --python-version 3.11 --generate-hashes --no-header -o requirements-dev.txt
	$(BIN)/uv pip compile -q pyproject.toml --group bench -c requirements.txt --universal --python-version 3.11 --generate-hashes --no-header -o requirements-bench.txt

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/serve.done: requirements.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	touch $@

$(VENV)/bench.done: requirements-bench.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.txt
	touch $@

$(VENV)/test.done: requirements-dev.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	touch $@
