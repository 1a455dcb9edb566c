PYTHON ?= $(shell for v in 3.11 3.12 3.13 3.14 3; do command -v python$$v && break; done)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help serve test test-all matrix lint types check audit budget bench example packages npm-package docs screenshots lock

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/'

serve: $(VENV)/serve.done  ## install requirements, migrate the database, and serve on PORT (8000)
	$(BIN)/python manage.py migrate --noinput --verbosity 0
	$(BIN)/python manage.py collectstatic --noinput --verbosity 0
	exec $(BIN)/python manage.py serve

test: $(VENV)/test.done  ## run the tests that start no server and no browser, on SQLite and PostgreSQL
	$(BIN)/python -m tests.run

test-all: $(VENV)/test.done  ## run all tests, on SQLite and PostgreSQL
	$(BIN)/python -m tests.run --all

matrix: $(VENV)/test.done  ## run the tests of `make test` on SQLite, with every Python and Django version found
	$(BIN)/python -m tests.matrix

lint: $(VENV)/test.done  ## check style, import contracts and the Dockerfile
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

types: $(VENV)/test.done  ## check types
	$(BIN)/mypy

check: lint types test-all  ## run the checks of CI, except the audit and the budget
	$(BIN)/python manage.py makemigrations --check --dry-run
	PUBLIC_URL=https://auth.example.com EMAIL_URL=submission://mail.example.com $(BIN)/python manage.py check --deploy --fail-level WARNING

audit: $(VENV)/test.done  ## check the requirements for known vulnerabilities (needs pypi.org or api.osv.dev)
	$(BIN)/python -m tests.audit

budget: $(VENV)/test.done  ## compare the instructions of a request with benchmarks/budget.json (needs valgrind)
	$(BIN)/python -m benchmarks.instructions --check

bench: $(VENV)/bench.done  ## compare the service with other libraries (needs wrk, nginx and valgrind, and an idle machine for two hours)
	for database in sqlite postgresql; do for what in run starts replays purging; do \
		$(BIN)/python -m benchmarks.$$what --database $$database || exit 1; done; done
	$(BIN)/python -m benchmarks.run --database postgresql --server gunicorn
	$(BIN)/python -m benchmarks.peer_purging
	$(BIN)/python -m benchmarks.hosted_sign_in
	$(BIN)/python -m benchmarks.instructions

example: $(VENV)/example.done examples/react/node_modules/.package-lock.json  ## run the React example and its service (needs Node 20.19)
	$(BIN)/python manage.py migrate --noinput --verbosity 0
	$(BIN)/python manage.py collectstatic --noinput --verbosity 0
	PATH="$(CURDIR)/$(BIN):$$PATH" exec examples/react/start.sh

packages: $(VENV)/test.done  ## build the Python package for clients and other services in dist/
	$(BIN)/python -m build --no-isolation --outdir dist clients/python

npm-package:  ## build the JavaScript client in dist/ (needs Node and npm)
	mkdir -p dist
	cd clients/js && npm ci --silent --no-audit --no-fund && npm pack --silent --pack-destination ../../dist

docs: $(VENV)/serve.done  ## generate docs/settings.md and docs/http.md from the code
	$(BIN)/python -m docs.generate

screenshots: $(VENV)/test.done  ## take the pictures of the README (needs Chromium)
	$(BIN)/python -m docs.screenshots

lock: $(VENV)/test.done  ## pin the requirements of pyproject.toml
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header -o requirements.txt
	$(BIN)/uv pip compile -q pyproject.toml --group dev -c requirements.txt --universal --python-version 3.11 --generate-hashes --no-header -o requirements-dev.txt
	$(BIN)/uv pip compile -q --group example -c requirements.txt --universal --python-version 3.11 --generate-hashes --no-header -o examples/react/api/requirements.txt
	$(BIN)/uv pip compile -q pyproject.toml --group bench -c requirements.txt --universal --python-version 3.11 --generate-hashes --no-header -o requirements-bench.txt

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'Python 3.11 or later is needed. Install it, or name it, as in `make serve PYTHON=/path/to/python3.12`.' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo 'Python cannot create virtual environments. On Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/serve.done: requirements.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	touch $@

$(VENV)/bench.done: requirements-bench.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.txt
	touch $@

$(VENV)/example.done: requirements.txt examples/react/api/requirements.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt -r examples/react/api/requirements.txt
	touch $@

examples/react/node_modules/.package-lock.json: examples/react/package-lock.json $(wildcard clients/js/*.js clients/js/src/*.js)
	cd examples/react && npm ci --no-audit --no-fund

$(VENV)/test.done: requirements-dev.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	touch $@
