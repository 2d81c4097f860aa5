# Huitou: `make demo` shows it, `make test` proves it. Both install all they need into .venv first.
PYTHON ?= python3.11
UV := .uv/bin/uv
RUN := .venv/bin

.PHONY: demo test lint install clean

install: .venv/installed

# uv lives in a virtual environment of its own, so nothing is installed outside this folder.
$(UV):
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found; install Python 3.11, or say PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -m venv .uv || { echo "'$(PYTHON) -m venv' failed; on Debian: apt-get install python3.11-venv"; rm -rf .uv; exit 2; }
	@.uv/bin/pip install --quiet --disable-pip-version-check "uv>=0.5"

.venv/installed: uv.lock pyproject.toml | $(UV)
	$(UV) sync --locked --all-extras --quiet --python $(PYTHON)
	@touch $@

demo: install
	$(RUN)/huitou demo

test: install
	$(RUN)/python -m pytest

lint: install
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/lint-imports --no-cache
	$(RUN)/mypy

clean:
	rm -rf .venv .uv home dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
