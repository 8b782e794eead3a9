# Everything needs only python3, make and git: the first target that runs makes .venv and installs into it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test lint types docs unit test-slow test-gpu bench constraints manifest clean

help:  ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## Make .venv and install Cuelight into it, in the versions that were tested.

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Cuelight needs Python 3.10 or newer: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
		{ echo "This Python cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Setting up $(VENV) (about 6 GB; minutes the first time, seconds from a warm cache) ..."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(INSTALLED)  ## Train a classifier of handwritten digits, about a minute on two cores.
	$(BIN)/cuelight train examples/digits.yaml

test: lint types docs unit  ## Everything that must be green before a change lands.

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(INSTALLED)
	$(BIN)/mypy

docs: $(INSTALLED)  ## Build the documentation into site/; a warning is an error.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

unit: $(INSTALLED)
	$(BIN)/pytest -n 2 --dist loadfile

test-slow: $(INSTALLED)  ## The tests that take longer.
	$(BIN)/pytest -m slow

test-gpu: $(INSTALLED)  ## The tests that need a CUDA device.
	$(BIN)/pytest -m gpu

bench: $(INSTALLED)  ## Measure every claim of the documentation.
	@missed=0; for claim in help at_once first_step step_overhead input_pipeline channels_last ema gradcam detection train_end whole_run upload gpu_stats tracking_overhead; do \
		echo "== $$claim"; $(BIN)/python benchmarks/$$claim.py || missed=1; done; exit $$missed

constraints: $(INSTALLED)  ## Write constraints.txt anew, from the newest versions that work together.
	$(BIN)/uv pip compile pyproject.toml --extra all --extra dev --universal --python-version 3.10 --upgrade \
		--no-header --no-annotate --no-emit-index-url --quiet --output-file constraints.txt

manifest: $(INSTALLED)  ## Write the names and parameters that a YAML file may use anew, from the code.
	$(BIN)/python -c 'from cuelight.registry.manifest import write_manifest; write_manifest()'

clean:  ## Remove what was built, not what was trained.
	rm -rf $(VENV) site build .pytest_cache .mypy_cache .ruff_cache
