# make run    Patchflow on this computer, with a simulated estate to look at: http://127.0.0.1:8000
#             (make run DEMO=no: without it)
# make test   everything that can be tested here; what is left out is listed with its reason
# make check  lint, types, layers, migrations, templates
# make test-pg / bench / faults / pictures / docs / messages: see below
UV_VERSION := 0.13.9
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3,11))' >/dev/null 2>&1 && echo $$p && break; done)
export UV_PYTHON_DOWNLOADS := never
export UV_LINK_MODE := copy
BIN := .venv/bin
HOST ?= 127.0.0.1
PORT ?= 8000
# One more than there are cores: real hosts, brokers and browsers are waited for.
JOBS ?= $(shell n=$$(nproc); echo $$((n < 7 ? n + 1 : 8)))
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup

.PHONY: run people test test-pg check bench faults pictures docs messages lock clean
DEMO ?= yes
run: .venv/.ok
	@$(BIN)/python manage.py up $(if $(filter no,$(DEMO)),--local,--demo) --host $(HOST) --port $(PORT)

# A small change board to try things with; passwords are printed once.
people: .venv/.ok
	@$(BIN)/python manage.py people

test: .venv/.ok
	$(PYTEST) --create-db

# On PostgreSQL: what `make test` runs, and what only PostgreSQL can show (MARK=pg: only that).
MARK ?= not native and not pictures and (not lab or journey)
test-pg: .venv/.ok
	@test -n "$(PATCHFLOW_TEST_DATABASE_URL)" || { echo 'Set PATCHFLOW_TEST_DATABASE_URL, e.g. postgres://postgres@127.0.0.1/patchflow'; exit 1; }
	PATCHFLOW_DATABASE_URL=$(PATCHFLOW_TEST_DATABASE_URL) $(PYTEST) --create-db -m "$(MARK)"

check: .venv/.ok
	$(BIN)/ruff check -q .
	$(BIN)/ruff format -q --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python manage.py check --fail-level WARNING
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null
	$(BIN)/djlint --lint --quiet patchflow cmdb changes releases

# Ratios measured in one run; needs PostgreSQL (PATCHFLOW_TEST_DATABASE_URL). Never part of the tests.
bench: .venv/.ok
	PATCHFLOW_DATABASE_URL=$(PATCHFLOW_TEST_DATABASE_URL) $(BIN)/python -m pytest tests/bench -q -s -p no:xdist --create-db -o norecursedirs=

# Processes killed and frozen on purpose, in the doses of docs/reference/faults.md (hours); needs PostgreSQL as `bench` does.
# FAULT=worker_kills: only that one. A dose is changed by itself: FAULTS_F1_KILLS=100 make faults FAULT=worker_kills
FAULT ?= *
faults: .venv/.ok
	PATCHFLOW_DATABASE_URL=$(PATCHFLOW_TEST_DATABASE_URL) FAULTS=long FAULTS_REPORT=var/faults.jsonl \
	  $(BIN)/python -m pytest tests/faults/test_$(FAULT).py -q -s -p no:xdist --create-db -o timeout=14400

# Every page of an empty, a small and a large Patchflow at 1280 and 390, in a real browser, into pictures/<world>/: look at each.
# A running Patchflow (make run) is photographed by: .venv/bin/python manage.py pictures --user admin
pictures: .venv/.ok
	PATCHFLOW_PICTURES=1 $(PYTEST) --create-db tests/browser/test_pages.py tests/browser/test_admin_site.py

docs: .venv/.ok
	$(BIN)/python manage.py reference --out docs/reference

# Collects what is to be translated, and compiles what was: needs gettext. Patchflow itself runs from the .mo, without it.
messages: .venv/.ok
	@command -v msgfmt >/dev/null || { echo 'gettext is needed (Debian: apt install gettext)'; exit 1; }
	$(BIN)/python manage.py makemessages -v 0
	$(BIN)/python manage.py compilemessages -v 0 -i .venv -i .tools -i tests -i var

lock: .tools/bin/uv
	.tools/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-annotate --no-header requirements-dev.in -o requirements.lock

clean:
	rm -rf .venv .tools var pictures

.tools/bin/uv:
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is needed (Debian: apt install python3 python3-venv)'; exit 1; }
	@$(PYTHON) -c 'import ensurepip' || { echo 'Python >=3.11 with its venv module is needed (Debian: apt install python3-venv)'; exit 1; }
	$(PYTHON) -m venv .tools && .tools/bin/pip install -q uv==$(UV_VERSION)

# uv first; plain pip where uv cannot be had or cannot read this machine's package index. Hashes are required either way.
.venv/.ok: requirements.lock
	{ $(MAKE) -s .tools/bin/uv && .tools/bin/uv venv -q --clear --python $(PYTHON) .venv && \
	  .tools/bin/uv pip sync -q --python .venv/bin/python --require-hashes requirements.lock; } || \
	  { rm -rf .venv && $(PYTHON) -m venv .venv && .venv/bin/pip install -q --require-hashes -r requirements.lock; }
	@touch $@
