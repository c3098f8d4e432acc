# `make demo` and `make test` do all the set-up by themselves; `make check` is lint and types, `make docs` the site.
# TORCH=cuda or TORCH=cpu says which build of torch `make demo` takes; without it, that for CPUs where no GPU is.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
PIP_OPTIONS ?=

.PHONY: demo test check docs clean

demo:
	@$(PYTHON) scripts/demo.py

test: $(READY)
	$(VENV)/bin/python -m pytest

check: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

docs: $(READY)
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --strict --quiet
	@echo 'The site: site/index.html. To read it as you write: $(VENV)/bin/python -m mkdocs serve'

$(READY): pyproject.toml
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install $(PIP_OPTIONS) -e '.[dev,parallel,tune]'
	touch $(READY)

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache
