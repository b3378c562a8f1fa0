# `make` alone lists what there is. Variables, all optional:
#   PYTHON=python3.13   the interpreter (3.11 or newer) of the virtual environment
#   VENV=folder         where the virtual environment is (a relative path without spaces)
#   ARGS='-k cache'     more arguments for pytest, the benchmark, JupyterLab, or the making of the locks
#   JOBS=3              processes that run tests: one more than cores, for many tests wait
#   UV=                 empty: install with pip even if uv is there

VENV ?= .venv
CORE := $(VENV)/.installed-core
DEV := $(VENV)/.installed-dev
JOBS ?= 3
UV ?= $(shell uv --version >/dev/null 2>&1 && command -v uv)
DEMO := slow-server small-cache

ifneq ($(UV),)
INSTALL = "$(UV)" pip install --quiet --compile-bytecode --python $(VENV)/bin/python
else
INSTALL = $(VENV)/bin/python -m pip install -qq --disable-pip-version-check
endif

# A virtual environment is made anew if its folder was moved, or if its interpreter is gone or not the one asked for.
VERSION := import sys; print(sys.hexversion)
STALE := $(shell { [ ! -e $(VENV)/pyvenv.cfg ] || { \
    [ "$$(cat $(VENV)/.made-in)" = "$$(pwd)" ] && have=$$($(VENV)/bin/python -c '$(VERSION)') && \
    { [ -z "$(PYTHON)" ] || [ "$$have" = "$$("$(PYTHON)" -c '$(VERSION)')" ]; }; } || echo stale; } 2>/dev/null)

# Tests and demo start hundreds of Pythons, and each would compile the product anew where this forbids its caches.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint format bench conformance pictures lab venv lock clean stale

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' Makefile

demo: $(CORE)  ## predict, then confirm: two scenarios, with HTML reports in reports/
	@mkdir -p reports; status=0; for scenario in $(DEMO); do \
	    $(VENV)/bin/proxytwin confirm $$scenario --report reports/$$scenario.html || status=$$?; \
	done; exit $$status

test: $(DEV)  ## the tests
	@$(VENV)/bin/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(DEV)  ## ruff, the format, the types, and that notebooks carry no output
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/nbstripout --verify notebooks/*.ipynb

format: $(DEV)  ## let ruff and nbstripout put right what they can, and draw the house
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	$(VENV)/bin/nbstripout notebooks/*.ipynb
	$(VENV)/bin/python docs/draw_house.py

bench: $(CORE)  ## the proxy beside nginx and others, in the same run (needs nginx and wrk)
	@$(VENV)/bin/python -m benchmarks.beside_peers $(ARGS)

conformance: $(CORE)  ## the public suite of HTTP cache tests (needs node and npm; SUITE=folder runs another edition)
	@$(VENV)/bin/python -m benchmarks.cache_conformance $(if $(SUITE),--suite '$(SUITE)') $(ARGS)

pictures: $(CORE)  ## the pictures of the README, from real runs on a quiet machine (needs chromium and root)
	@PYTHONPATH=. $(VENV)/bin/python docs/draw_pictures.py $(ARGS)

lab: $(DEV)  ## JupyterLab on your copies of the lessons
	@$(VENV)/bin/proxytwin lab $(ARGS)

venv: $(DEV)  ## the virtual environment with everything in it, for an editor

lock:  ## make the locks anew from pyproject.toml (needs uv; ARGS=--upgrade for new versions)
	@[ -n "$(UV)" ] || { echo 'make lock needs uv on PATH: pip install uv' >&2; exit 2; }
	$(COMPILE) --all-extras --output-file requirements-dev.lock
	$(COMPILE) --constraints requirements-dev.lock --output-file requirements.lock

COMPILE = "$(UV)" pip compile pyproject.toml --quiet --universal --python-version 3.11 --group build \
    --generate-hashes --no-emit-index-url --no-header $(ARGS)

clean:  ## remove the virtual environments and every cache; reports/ stays
	rm -rf $(VENV) .venv-ci-* suites build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/pyvenv.cfg: $(STALE)
	@if [ -n "$(PYTHON)" ]; then set -- "$(PYTHON)"; \
	else set -- python3 python3.11 python3.12 python3.13 python3.14; fi; \
	for python do \
	    if "$$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "Making $(VENV) with $$("$$python" --version)"; \
	        "$$python" -m venv --clear $(VENV) && pwd > $(VENV)/.made-in && exit; exit 1; \
	    fi; \
	done; \
	echo "proxytwin needs Python 3.11 or newer with venv and pip (Debian: python3-venv); tried: $$*" >&2; exit 2

# The demo needs the core alone, which installs twice as fast as everything; both locks pin the same versions.
$(CORE): requirements.lock pyproject.toml $(VENV)/pyvenv.cfg
	@echo 'Installing the pinned requirements of the product (half a minute; seconds with uv)'
	@$(INSTALL) --require-hashes -r requirements.lock
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): requirements-dev.lock pyproject.toml $(VENV)/pyvenv.cfg
	@echo 'Installing the pinned requirements of product, tests and notebooks (a minute; seconds with uv)'
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $(CORE) $@
