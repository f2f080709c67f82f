# `make demo` and `make test` are all a newcomer needs; both make .venv on first use and reuse it afterwards.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# An environment apart: tensorflow-io takes TensorFlow 2.17, and that Python 3.12 at most.
VENV_IO := .venv-io
PYTHON_IO ?= $(shell for python in $(PYTHON) python3.12 python3.11 python3.10; do \
	$$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && \
	echo $$python && break; done)
export TF_CPP_MIN_LOG_LEVEL ?= 2
# The theme greets every build with a notice: it is maintained until May 2027, its successor is Zensical.
export NO_MKDOCS_2_WARNING ?= 1
# Where transparent huge pages are opt-in, as on most virtual machines, glibc asks for them only when told to. On two
# virtual cores under load a training step of slowfast_nano took 1.4 s without and 0.5 s with them.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1

.PHONY: demo test test-io parity slow docs lint types benchmark clean

demo: $(VENV)/.installed
	$(BIN)/kerasfast demo out/demo $(if $(SMOKE),--smoke)

# Three processes for two cores, each with files of its own: much of a test is Python on one core, or waits for a browser.
test: $(VENV)/.installed
	$(BIN)/python -m pytest -q -n 3 --dist loadfile -m "not slow and not parity and not io and not docs"

# Records in a bucket, on an S3 server on loopback. Bytecode is written as modules are imported, not for all of
# TensorFlow at its installation, which takes a minute more.
test-io: export PYTHONDONTWRITEBYTECODE =
test-io: $(VENV_IO)/.installed
	$(VENV_IO)/bin/python -m pytest -q -m io tests/io

# The networks against PyTorchVideo, on random weights; `make slow` adds the large ones where torch is installed.
parity: $(VENV)/.installed-parity
	$(BIN)/python -m pytest -q -n 2 -m "parity and not slow" tests/parity

# Large variants and long runs, which `make test` leaves out.
slow: $(VENV)/.installed
	$(BIN)/python -m pytest -q -m slow

# site/, with every notebook run, and then a look at it in a browser: no page may ask another machine for anything.
docs: $(VENV)/.installed-docs
	$(BIN)/mkdocs build --quiet
	$(BIN)/python -m pytest -q -m docs tests/test_site.py

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/pyright

# benchmarks/miniature.json: SlowFast, Slow and Fast alone at equal training.
benchmark: $(VENV)/.installed
	$(BIN)/python tools/bench_miniature.py

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

$(VENV)/.installed-parity: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --editable '.[parity]'
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

# The server and its client are pinned because either changes what it sends from one release to the next.
$(VENV_IO)/.installed: pyproject.toml
	@test -n "$(PYTHON_IO)" || { echo "make test-io needs Python 3.10, 3.11 or 3.12: give PYTHON_IO=..." >&2; exit 1; }
	test -x $(VENV_IO)/bin/python || $(PYTHON_IO) -m venv $(VENV_IO)
	$(VENV_IO)/bin/python -m pip install --quiet --upgrade pip
	$(VENV_IO)/bin/python -m pip install --quiet --no-compile --editable '.[io]' 'pytest>=8' \
		'moto[s3,server]==5.2.5' boto3==1.44.8
	touch $@

clean:
	rm -rf out site dist build .pytest_cache .ruff_cache
