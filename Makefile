# make setup | demo | test | test-slow | test-all | fuzz | kills | bench | lint | format; each makes .venv itself.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check
# Tests of one file share what they make, so a file stays in one of the processes.
SIDE_BY_SIDE := -n 2 --dist loadfile
# Side by side, tests that measure time may be held up by others: what fails is run again by itself, and must pass then.
AGAIN = || { [ $$? = 1 ] && echo "what failed is run again by itself" && \
	TESTS_UNTIL=inf $(PY) -m pytest --last-failed --last-failed-no-failures none; }
# SKIPS=0 fails where a test was skipped: something is missing, such as the real videos in ../shared.
MOST_SKIPS := $(if $(SKIPS),--skips $(SKIPS))

.PHONY: setup setup-dev setup-all demo test test-slow test-all fuzz kills bench lint format clean

setup: $(VENV)/.installed
setup-dev: $(VENV)/.installed-dev
setup-all: $(VENV)/.installed-all

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, for example: make $(MAKECMDGOALS) PYTHON=python3.12")'
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (a few minutes the first time) ..."
	@$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@$(PIP) -e '.[dev]'
	@touch $@

# What the slow tests need besides: every extra, the torch backend (a build without CUDA is enough), and an OpenCV that
# has windows, which must not lie over the other.
$(VENV)/.installed-all: $(VENV)/.installed-dev
	@$(PIP) -e '.[all,dev]' 'torch==2.13.0'
	@$(PIP) --no-deps --upgrade --target $(VENV)/opencv-gui opencv-python
	@touch $@

# make demo VIDEOS=folder takes folder/<Class>/*.mp4
demo: setup
	@$(PY) scripts/demo.py $(if $(VIDEOS),--videos "$(VIDEOS)")

test: setup-dev
	@$(PY) -m pytest -m "not slow" $(SIDE_BY_SIDE) $(MOST_SKIPS) $(AGAIN)

# Minutes each. KILLS and MOMENTS in the environment say how often extractions, and every command that writes, are killed.
test-slow: setup-all
	@$(PY) -m pytest -m slow $(SIDE_BY_SIDE) --durations 25 $(MOST_SKIPS) $(AGAIN)

test-all: test test-slow

bench: setup-dev
	@$(PY) -m benchmarks

# make fuzz MINUTES=15 SEED=7: damaged files by the thousand, see SECURITY.md
fuzz: setup-dev
	@$(PY) -m tests.fuzz --minutes $(or $(MINUTES),15) $(if $(SEED),--seed $(SEED))

# make kills KILLS=1000: extractions killed at so many moments
kills: setup-dev
	@KILLS=$(or $(KILLS),100) $(PY) -m pytest -m "slow or not slow" tests/extraction/jobs/test_kills.py -k "random_moments and asked"

lint: setup-dev
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

format: setup-dev
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

clean:
	rm -rf demo .pytest_cache .mypy_cache .ruff_cache
