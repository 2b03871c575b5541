# Every target makes its own environment under the checkout: it needs Rust and Python 3.11 alone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WHEELS := build/wheels
WHEEL := build/wheel.stamp
SOURCES := $(shell find src python -type f \( -name '*.rs' -o -name '*.py' -o -name '*.pyi' -o -name 'py.typed' \)) \
	Cargo.toml Cargo.lock pyproject.toml README.md LICENSE

.DELETE_ON_ERROR:
.PHONY: help demo test test-python test-rust test-cuda lint bench bench-rust bench-python stubs clean

help:
	@echo "make demo       train a digit classifier; pictures and weights go to out/"
	@echo "make test       build, install, and run all tests"
	@echo "make test-cuda  run the tests on a GPU, or on an emulated one where there is none (slow)"
	@echo "make lint       formatting, clippy, ruff, mypy"
	@echo "make bench      time kernels and compare with NumPy (and PyTorch, where installed)"
	@echo "make stubs      write python/rtensor/_C.pyi from the operator table"
	@echo "make clean      remove what the other targets made"

$(BIN)/python:
	$(PYTHON) -c "import sys; assert sys.version_info >= (3, 11), 'rtensor needs Python 3.11 or newer'"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip "maturin>=1.9,<2"

$(WHEEL): $(BIN)/python $(SOURCES)
	mkdir -p $(WHEELS)
	rm -f $(WHEELS)/*.whl
	$(BIN)/maturin build --release --out $(WHEELS) --interpreter $(BIN)/python
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps $(WHEELS)/*.whl
	touch $@

# What an extra asks for, installed once for each version of pyproject.toml.
build/%.extra: $(WHEEL) pyproject.toml
	$(BIN)/python -m pip install --quiet "$$(ls $(WHEELS)/*.whl)[$*]"
	touch $@

demo: build/demo.extra
	$(BIN)/python examples/digits.py $(ARGS)

test: test-rust test-python

test-rust:
	cargo test --no-default-features

test-python: build/test.extra
	$(BIN)/python -m pytest $(ARGS)

test-cuda: build/test.extra
	$(BIN)/python -m pytest --device cuda $(ARGS)

lint: build/lint.extra
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --no-default-features --all-targets -- -D warnings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: bench-rust bench-python

bench-rust:
	cargo bench --no-default-features

bench-python: $(WHEEL)
	$(BIN)/python benches/compare.py $(ARGS)

stubs: $(WHEEL)
	$(BIN)/python tools/stubs.py

clean:
	rm -rf $(VENV) build out
	cargo clean
