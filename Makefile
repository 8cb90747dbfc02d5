# make setup | demo | test | test-slow | lint | format; each makes .venv itself.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python

.PHONY: setup setup-dev demo test test-slow lint format clean

setup: $(VENV)/.installed
setup-dev: $(VENV)/.installed-dev

$(VENV)/.installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, for example: make $(MAKECMDGOALS) PYTHON=python3.12")'
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (a few minutes the first time) ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

# make demo VIDEOS=folder takes folder/<Class>/*.mp4
demo: setup
	@$(PY) scripts/demo.py $(if $(VIDEOS),--videos "$(VIDEOS)")

test: setup-dev
	@$(PY) -m pytest -m "not slow"

test-slow: setup-dev
	@$(PY) -m pytest -m slow

lint: setup-dev
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

format: setup-dev
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

clean:
	rm -rf demo .pytest_cache .mypy_cache .ruff_cache
