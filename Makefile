# make demo         set up, train the demo, print where its scores and pictures are
# make test         set up, check the style, run the tests
# make docs         build the pages into site/
# make notebooks    run the notebooks of examples/
# make dist         build the wheel and the source distribution into dist/
# make test-lowest  run the library's tests and a short training with the lowest versions that are declared
PYTHON ?= python3
VENV ?= .venv
LOWEST ?= .venv-lowest
RUNS ?= runs
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint docs notebooks dist test-lowest

demo: $(READY)
	$(BIN)/python trainval.py -e demo -sb $(RUNS)

# Two processes, each of one thread: the threads of both would get into each other's way. A file's tests stay together.
test: $(READY) lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

# A broken link fails.
docs: $(READY)
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Any error fails. The results are in build/notebooks/: copy them to examples/ to commit them.
notebooks: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/jupyter nbconvert --to notebook --execute --output-dir build/notebooks examples/*.ipynb

dist: $(READY)
	rm -rf build/lib dist
	$(BIN)/python -m build

# The oldest Python at hand, and of each declared package the lowest version. ONNX files are written by newer PyTorch only.
LOWEST_TESTS := tests/lcfcn lcfcn tests/src/datasets tests/src/models --ignore tests/lcfcn/counting/test_onnx_network.py
test-lowest:
	rm -rf $(LOWEST)
	"$$($(PYTHON) .ci/lowest.py python)" -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --no-deps -e . -e ./src/dashboard
	$(LOWEST)/bin/python .ci/lowest.py pins requirements.txt > $(LOWEST)/pins.txt
	$(LOWEST)/bin/python -m pip install --quiet -r requirements.txt -e '.[onnx,timm]' hypothesis pytest pytest-xdist \
		-c $(LOWEST)/pins.txt
	$(LOWEST)/bin/python --version && $(LOWEST)/bin/python -m pip list
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -n 2 --dist loadfile $(LOWEST_TESTS)
	$(LOWEST)/bin/python trainval.py -e demo -sb $(LOWEST)/runs --set max_epoch=2

# The mark is made last, so that an installation that was cut off is begun again.
$(READY): requirements.txt pyproject.toml src/dashboard/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements.txt -e '.[test]'
	touch $(READY)
