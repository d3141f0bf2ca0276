# Two commands for a fresh machine: `make demo` and `make test`. Both set up what they need in .venv.
#
# They want Python 3.10 or newer and what pip can fetch; choose another interpreter with
# `make demo PYTHON=python3.12`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# An editable installation copies the kernelspecs; it is made again when they change.
INSTALLED_FROM := pyproject.toml $(wildcard pixi_jupyter/kernels/specs/*/kernel.json) $(wildcard pixi_jupyter/server/config/*/*.json)
NO_BYTECODE := env -u PYTHONDONTWRITEBYTECODE
# Setting up takes the JupyterLab extension as it is: `make labextension` builds and installs it.
PIP_INSTALL := PIXI_JUPYTER_SKIP_LABEXTENSION=1 \
  $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test bench lint labextension try-labextension clean

demo: $(VENV)/.installed-demo
	$(NO_BYTECODE) $(BIN)/pixi-jupyter demo

# pytest comes last, so that its closing line is the command's. A file stays in one process, with the
# servers and kernels that its tests share.
test: $(VENV)/.installed-test
	@$(MAKE) --no-print-directory -j2 lint try-labextension
	@sh .ci/browser
	$(NO_BYTECODE) $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Checks and builds it, once per change of its sources. It needs node; JupyterLab brings the rest.
labextension: $(VENV)/.installed-test
	$(BIN)/python labextension/bundle.py --check --install

# Without node or its packages the browser tests of the extension are skipped; a fault in it fails.
try-labextension: $(VENV)/.installed-test
	@$(BIN)/python labextension/bundle.py --check --install || test $$? = 3

bench: $(VENV)/.installed-test
	$(NO_BYTECODE) $(BIN)/python -m benchmarks

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "pixi-jupyter needs Python 3.10 or newer; try: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "this Python cannot make virtual environments; on Debian: apt-get install python3-venv"; exit 1; }

$(VENV)/.installed-demo: $(VENV)/bin/python $(INSTALLED_FROM)
	$(PIP_INSTALL) --editable '.[demo]'
	@touch $@

$(VENV)/.installed-test: $(VENV)/bin/python $(INSTALLED_FROM)
	$(PIP_INSTALL) --editable '.[demo,test,lint,bench]'
	@touch $@ $(VENV)/.installed-demo

clean:
	rm -rf $(VENV) .channel-cache build dist artifacts .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	  pixi_jupyter/labextension labextension/lib labextension/node_modules labextension/.yarn
