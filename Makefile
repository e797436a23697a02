# The only commands to know. Each sets up what it needs first, in .venv, and nowhere else.

PYTHON_BIN := .venv/bin/python
PYTEST := $(PYTHON_BIN) -m pytest

.PHONY: help setup run demo lint style types layers format test sim pythons mesh nat bench clean

help:
	@echo "make demo    see it work: several nodes on this machine, a few minutes of a venture's life"
	@echo "make test    every check: style, types, layers, all tests"
	@echo "make lint    style, types and layers only"
	@echo "make format  bring the code into its form"
	@echo "make sim     the simulated networks, and 100 000 made-up histories"
	@echo "make pythons the same roots on every Python that is here: 3.11, 3.12, 3.13"
	@echo "make mesh    twenty node processes, two thousand entries, every node restarted: a quarter of an hour or more"
	@echo "make nat     two nodes behind routers, in network namespaces; needs root, Linux, ip and iptables"
	@echo "make bench   measure this machine"
	@echo "make setup   make .venv, for working on Tallystick"
	@echo "make run     make .venv, only to run a node: then .venv/bin/tally"
	@echo "make clean   remove .venv and what the tools left behind"

setup:
	@scripts/setup dev

run:
	@scripts/setup run

demo: run
	@.venv/bin/tally demo

# Three parts, so that `make -k lint` shows all there is to mend.
lint: style types layers

style: setup
	.venv/bin/ruff check --output-format concise .
	.venv/bin/ruff format --check .

types: setup
	.venv/bin/mypy

layers: setup
	.venv/bin/lint-imports --no-logo

format: setup
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

test: lint
	$(PYTEST) -q -n 2 --dist loadfile --no-loadscope-reorder

# A hundred thousand made-up histories under as many charters beside the networks: about a quarter of an hour.
sim: setup
	TALLY_SIM_SEEDS=$${TALLY_SIM_SEEDS:-0:2000} $(PYTEST) -q -n 2 tests/sim
	HISTORIES=$${HISTORIES:-100000} $(PYTEST) -q -n 2 tests/protocol/test_fuzz.py

# Not part of `test`, which has one Python: this takes each that it finds.
pythons:
	@scripts/pythons

# A small mesh is part of `test`; MESH_NODES and MESH_ENTRIES give other sizes.
mesh: setup
	MESH_NODES=$${MESH_NODES:-20} MESH_ENTRIES=$${MESH_ENTRIES:-2000} $(PYTEST) -q tests/integration/test_mesh.py

# Not part of `test`: without namespaces it fails, and says what is missing.
nat: setup
	$(PYTEST) -q tests/nat

bench: setup
	@set -e; for each in benchmarks/bench_*.py; do $(PYTHON_BIN) -m "benchmarks.$$(basename "$$each" .py)"; done

clean:
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build *.egg-info
	find tallystick tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
