# Everything below runs inside .venv, which the first target makes.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test coverage check slow format reference

demo: .venv/installed
	$(BIN)/cmirnet demo --overwrite

test: .venv/installed
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow"

coverage: .venv/installed
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow" --cov --cov-report=
	$(BIN)/coverage report --format=total --precision=1

slow: .venv/installed
	$(BIN)/python -m pytest -n auto --dist loadscope --no-loadscope-reorder -rs -m slow

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

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@
