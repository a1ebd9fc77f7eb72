# make demo   maps slumps on a real scene: demo/slumps.gpkg and demo/preview.png
# make test   runs every check but the slow ones (make test-slow); all set up what they need (Linux, Python 3.11 or later)

SHELL := /bin/bash
.DEFAULT_GOAL := demo
BIN := .venv/bin
READY := .venv/.ready

# An uv of this machine if it works (a pyenv shim may not), else one of our own.
UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo .bootstrap/bin/uv)
export UV_NO_PROGRESS = 1

.PHONY: demo test test-slow lint typecheck imports unit docs lock clean

demo: $(READY)
	$(BIN)/rtsmap demo --overwrite

test: lint typecheck imports unit

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

# A process for each core, with one thread each: networks as small as those of the tests gain nothing from more.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --dist worksteal

unit: $(READY)
	$(PYTEST)

test-slow: $(READY)
	$(PYTEST) -m slow

docs: $(READY)
	$(BIN)/python -m rtsmap.cli.reference > docs/cli.md
	$(BIN)/python -m rtsmap.layer.reference docs/guide/layer.md

# Resolves the dependencies anew. The file names no registry, so that any mirror serves it.
lock: $(filter .bootstrap/%,$(UV))
	$(UV) pip compile pyproject.toml --universal --upgrade --extra train --group dev \
	  --generate-hashes --no-header --no-emit-index-url --output-file requirements.lock

clean:
	rm -rf .venv .bootstrap demo build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(READY): requirements.lock pyproject.toml | $(filter .bootstrap/%,$(UV))
	$(UV) venv --allow-existing --quiet .venv
	$(UV) pip sync --quiet --require-hashes requirements.lock
	$(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.bootstrap/bin/uv:
	python3 -m venv .bootstrap
	.bootstrap/bin/python -m pip install --quiet --disable-pip-version-check uv
