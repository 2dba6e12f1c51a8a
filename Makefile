# Everything below runs inside .venv, which the first target makes.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -n logical --dist worksteal

.PHONY: demo test slow tests coverage check format reference

# What the demo needs, and not the tools of development, unless those are there already.
demo: $(if $(wildcard .venv/installed),.venv/installed,.venv/package)
	$(BIN)/cmirnet demo

test: .venv/installed
	$(PYTEST) -m "not slow"

slow: .venv/installed
	$(PYTEST) -rs -m slow

# Both in one go: what they share is made once.
tests: .venv/installed
	$(PYTEST) -rs --durations=20

coverage: .venv/installed
	$(PYTEST) -m "not slow" --cov --cov-report=
	$(BIN)/coverage report --format=total --precision=1

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --strict

reference: .venv/installed
	$(BIN)/python -m tools.reference

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/package: pyproject.toml | .venv/bin/python
	@echo "pip installs cmirnet, PyTorch and the other libraries into .venv: about 7 GB, which takes minutes"
	$(BIN)/python -m pip install -e .
	touch $@

.venv/installed: pyproject.toml | .venv/bin/python
	@echo "pip installs cmirnet, its libraries and the tools of development into .venv: about 7 GB, which takes minutes"
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

.venv/bin/python:
	$(PYTHON) -m venv .venv
