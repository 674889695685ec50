# `make search` and `make test` are all a newcomer needs; each sets up what it needs first.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
BIN := .venv/bin
UV := $(shell command -v uv)
INSTALL = $(if $(UV),$(UV) pip install --quiet --python $(BIN)/python,$(BIN)/python -m pip install --quiet --disable-pip-version-check) -c constraints.txt
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

# What `make search` needs; nothing if the developers' tools are there.
ifneq ($(wildcard .venv/.ready),)
.venv/.main: .venv/.ready
else
# Where no GPU is, TensorFlow's build for processors alone does: another package, a third smaller.
LEAN := $(and $(filter Linux-x86_64,$(shell uname -sm | tr ' ' -)),$(if $(shell command -v nvidia-smi),,yes))
.venv/.main: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing TensorFlow and what else a search needs into .venv: $(if $(LEAN),$(if $(UV),2.2,2.5),3.2) GB of disk (free: $$(df -Ph . | awk 'END {print $$4}')), $(if $(UV),one to five,two to ten) minutes."
ifneq ($(LEAN),)
	@$(BIN)/python -c "import tomllib; print(*(n for n in tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'] if not n.startswith('tensorflow>')), sep='\n')" > .venv/requirements.txt
	$(INSTALL) -r .venv/requirements.txt tensorflow-cpu
	$(INSTALL) --no-deps -e .
else
	$(INSTALL) -e .
endif
	@touch $@
endif

.venv/.ready: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing TensorFlow and the developers' tools into .venv: 4 GB of disk (free: $$(df -Ph . | awk 'END {print $$4}')), five to fifteen minutes."
	@if [ -e .venv/.main ]; then $(BIN)/python -m pip uninstall --quiet --yes tensorflow-cpu; fi
	$(INSTALL) -e ".[dev]"
	@touch $@

.venv/bin/python:
	$(if $(UV),$(UV) venv --quiet --seed --python "$(PYTHON)" .venv,$(PYTHON) -m venv .venv)

# A race of so few trials may prune all that are sampled; the median pruner lets the first four see all folds, two of
# them sampled, whatever they score.
search: .venv/.main  ## The main job in small: LeNet's space, a minute or two on two cores.
	$(BIN)/python -m search run --space lenet --study first-look \
		--pruner median --trials 8 --folds 3 --epochs 3 --limit-samples 4000

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
	$(INSTALL) -e ".[docs]"
	$(BIN)/python docs/build.py

# Half an hour; PICTURES="terminal report mlflow" for some.
figures: setup  ## The documentation's pictures, taken anew from real studies.
	$(INSTALL) -e ".[docs]"
	$(BIN)/python -m docs.figures $(PICTURES)

notebooks: setup  ## The notebooks of docs, run anew and written with what they show; ten minutes.
	$(BIN)/python -m tests.notebooks

# Hours for all modules; MODULES="search/data/folds.py search/training/batches.py" for some.
mutants: setup  ## Whether the tests notice small changes to what numbers come from.
	$(BIN)/python -m tests.mutants $(MODULES)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info
