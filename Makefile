# make quickstart   environment, installation and the main job: recipes/quickstart.yaml
# make test         environment, static checks and tests
# VENV=path and PYTHON=python3.12 choose another environment; pip's own settings (PIP_INDEX_URL and the like) are used as they are.

PYTHON ?= python3
VENV ?= .venv
RECIPE ?= recipes/quickstart.yaml

.PHONY: quickstart test check clean

quickstart: $(VENV)/.installed
	$(VENV)/bin/kcompress run $(RECIPE)

test: check
	$(VENV)/bin/python -m pytest

check: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/mypy benchmarks

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@ $(VENV)/.installed
