# The two commands of the README: `make serve` and `make test`. Both make their own environment in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: serve test check clean

serve: .venv/serve.done
	$(BIN)/humanparse serve

test: .venv/test.done
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal

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

clean:
	rm -rf .venv
