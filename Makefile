# make demo: set up, train the demo, say where its pictures are.   make test: set up, run the checks and the tests.
PYTHON ?= python3
VENV ?= .venv
RUNS ?= runs
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint docs notebooks

demo: $(READY)
	$(BIN)/python trainval.py -e demo -sb $(RUNS)

# Two processes, each of one thread: the threads of both would get into each other's way. A file's tests stay together.
test: $(READY) lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

# The pages, into site/. A broken link fails.
docs: $(READY)
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Runs the notebooks, and fails on any error. The results are in build/notebooks/: copy them to examples/ to commit them.
notebooks: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/jupyter nbconvert --to notebook --execute --output-dir build/notebooks examples/*.ipynb

# The mark is made last, so that an installation that was cut off is begun again.
$(READY): requirements.txt pyproject.toml src/dashboard/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements.txt -e '.[test]'
	touch $(READY)
