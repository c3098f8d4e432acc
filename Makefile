# `make demo` and `make test` do all the set-up by themselves; `make check` is lint and types.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
PIP_OPTIONS ?=

.PHONY: demo test check clean

demo: $(READY)
	$(VENV)/bin/python -m lossbench -m data=digits_imb seed=0,1,2,3,4 \
		loss=cross_entropy,focal,label_smoothing,balanced_softmax,ldam

test: $(READY)
	$(VENV)/bin/python -m pytest

check: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

$(READY): pyproject.toml
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install $(PIP_OPTIONS) -e '.[dev,parallel,tune]'
	touch $(READY)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
