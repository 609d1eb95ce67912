# `make benchmark` and `make test` do everything on a fresh machine: virtual environment, installation, and their job.
# Paths are relative, so the checkout may lie anywhere, in a folder with spaces too: use `make -C <checkout> ...`.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# The methods of the benchmark; tests of the machinery run on them too.
CORE := deep_ensemble deterministic mc_dropout sngp

.PHONY: install benchmark test test-slow test-minimum docs lint types sync-check clean

install: $(VENV)/installed

$(VENV)/installed: setup.py pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable ".[test]"
	touch $@

benchmark: install
	$(RUN) -m uncertainty_suite.sweep configs/two_moons.py configs/digits.py \
		--methods $(CORE) --seeds 0:3 --output_dir runs/benchmark
	$(RUN) -m uncertainty_suite.figures runs/benchmark/two_moons/*/seed0 --output_dir runs/benchmark/figures

# A process a core; each takes whole test modules, whose tests share what is slow to make, in the order of tests/conftest.py.
test: install
	$(RUN) -m pytest -m "not slow" --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-slow: install
	$(RUN) -m pytest -m slow

# The same tests with the lowest versions that setup.py allows, in an environment of its own.
test-minimum:
	mkdir -p build
	$(PYTHON) tools/minimum_requirements.py > build/minimum.txt
	PIP_CONSTRAINT=build/minimum.txt $(MAKE) test VENV=.venv-minimum

# The site, with its notebooks executed: build/docs/html/index.html.
docs: $(VENV)/installed-docs
	$(RUN) tools/build_docs.py

$(VENV)/installed-docs: $(VENV)/installed
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable ".[docs]"
	touch $@

lint: install
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(VENV)/bin/codespell

types: install
	$(RUN) -m mypy

sync-check: install
	$(RUN) tools/sync_check.py

clean:
	rm -rf .venv .venv-* build *.egg-info
