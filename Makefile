# make demo: set up, train the demo, say where its pictures are.   make test: set up, run the checks and the tests.
PYTHON ?= python3
VENV ?= .venv
RUNS ?= runs
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint

demo: $(READY)
	$(BIN)/python trainval.py -e demo -sb $(RUNS)

# Two processes, each of one thread: the threads of both would get into each other's way. A file's tests stay together.
test: $(READY) lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

# The mark is made last, so that an installation that was cut off is begun again.
$(READY): requirements.txt pyproject.toml src/dashboard/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements.txt -e '.[test]'
	touch $(READY)
