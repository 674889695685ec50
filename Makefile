# `make search` and `make test` are all a newcomer needs; each sets up what it needs first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Tests run in so many processes; those of one file stay together, in the order of tests/conftest.py.
TEST_PROCESSES ?= 2
# Every process would compile the project and rewrite the tests' assertions anew.
export PYTHONDONTWRITEBYTECODE :=
PYTEST := $(BIN)/python -m pytest -q -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

# Real data where it lies beside the checkout; elsewhere the usual places are searched.
ifneq ($(wildcard ../shared/data),)
export SEARCH_DATA_DIR ?= $(abspath ../shared/data)
endif

.PHONY: setup search test quick lint audit format check docs figures notebooks mutants clean

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

search: setup  ## The main job in small: LeNet's space, a few minutes on two cores.
	$(BIN)/python -m search run --space lenet --study first-look \
		--trials 6 --folds 3 --epochs 3 --limit-samples 4000

test: setup
	$(PYTEST)

quick: export FUZZ_CASES ?= 100
quick: setup
	$(PYTEST) -m "not slow"

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: setup  ## Bandit's search for what is unsafe.
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml search spaces tracking

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: lint audit test

docs: setup  ## The documentation's site, in build/site; a link that leads nowhere fails it.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	$(BIN)/python docs/build.py

# Half an hour; PICTURES="terminal report mlflow" for some.
figures: setup  ## The documentation's pictures, taken anew from real studies.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	$(BIN)/python -m docs.figures $(PICTURES)

notebooks: setup  ## The notebooks of docs, run anew and written with what they show; ten minutes.
	$(BIN)/python -m tests.notebooks

# Hours for all modules; MODULES="search/data/folds.py search/training/batches.py" for some.
mutants: setup  ## Whether the tests notice small changes to what numbers come from.
	$(BIN)/python -m tests.mutants $(MODULES)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info
