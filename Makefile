# The two commands of the README: `make serve` and `make test`. Both make their own environment in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: serve test test-scale check clean

serve: .venv/serve.done
	HUMANPARSE_CACHE_DIR=$(CURDIR)/.cache $(BIN)/humanparse serve

test: .venv/test.done
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal

# What needs Ray and Arrow: batches and servers on a cluster of this machine.
test-scale: .venv/scale.done
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/service/scale tests/docker/test_kubernetes.py

# Lint, format, types and import contracts.
check: .venv/test.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/serve.done: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/test.done: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@ .venv/serve.done

.venv/scale.done: .venv/test.done
	$(BIN)/python -m pip install --quiet --editable '.[test,scale]'
	touch $@

clean:
	rm -rf .venv .cache
