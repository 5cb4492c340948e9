# Everything runs from .venv; nothing needs to be activated. `make help` lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slurm bench soak lint types clean requirements test-packages slurm-packages \
        slurm-lab-up slurm-lab-look slurm-lab-down

BIN := .venv/bin
WORKERS ?= 2

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## put everything csched needs into .venv; the command is .venv/bin/csched
	@requirements/setup.sh

demo: setup ## run the main job once on this machine, from a script to the carbon report
	@docs/demo/run.sh

test: lint types test-packages ## run all tests; installs Debian's packages they need (root or sudo)
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile -m "not soak and not slurm"
	$(MAKE) test-slurm

test-slurm: setup slurm-packages ## run the tests on real Slurm clusters, which it brings up and takes down (root)
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile -m "slurm and not soak" tests/slurm

soak: test-packages ## the long version of the tests: more seeds, bigger sizes
	$(BIN)/pytest --timeout 7200 -m soak

bench: setup ## measure speed and quality; fails where a figure leaves its range
	@missed=0; for file in bench/[a-z]*.py; do \
	    echo "== $$file"; \
	    $(BIN)/python -m "bench.$$(basename "$$file" .py)" || missed=1; \
	done; exit $$missed

lint: setup ## check style, formatting and which way the imports run
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: setup ## check types
	$(BIN)/mypy

requirements: setup ## pin anew what pyproject.toml asks for (UPGRADE=1: the newest versions)
	@requirements/compile.sh

slurm-lab-up: setup slurm-packages ## bring up three Slurm clusters to play with (root; NEWER=1: also one of Slurm 24.11)
	@$(BIN)/python -m slurm_lab up $(if $(NEWER),--newer)

slurm-lab-look: ## show the clusters of `make slurm-lab-up`
	@$(BIN)/python -m slurm_lab look

slurm-lab-down: ## end them
	@$(BIN)/python -m slurm_lab down

test-packages: setup
	@requirements/debian.sh $$(sed 's/#.*//' requirements/debian-test.txt)

slurm-packages: setup
	@requirements/debian.sh $$(sed 's/#.*//' requirements/debian-slurm.txt)

clean: ## remove .venv, caches and what was built
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
