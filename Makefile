# The two commands to start with: `make demo` and `make test`. Both set up everything they need in .venv.
PYTHON ?= python3
BIN := .venv/bin
DEMO := demo
PERIOD := 2017-12

.PHONY: demo test walk lint docs bench clean

.venv/bin/python:
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip

.venv/.demo: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[demo]'
	@touch $@

.venv/.dev: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@ .venv/.demo

.venv/.docs: .venv/.dev
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	@touch $@

.venv/.bench: .venv/.dev
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[bench]'
	@touch $@

demo: export TRADEWIND_STORE = $(DEMO)/complete_journey
demo: .venv/.demo
	@mkdir -p $(DEMO)
	$(BIN)/tradewind import complete_journey
	$(BIN)/tradewind check
	$(BIN)/tradewind study fluctuation --metric gmv --period $(PERIOD) --against previous
	$(BIN)/tradewind report --period $(PERIOD) --assume margin=0.3 --out $(DEMO)/report.html
	$(BIN)/tradewind import world --preset town --seed 7 --store $(DEMO)/town
	$(BIN)/tradewind report --period last-month --store $(DEMO)/town --out $(DEMO)/town.html
	$(BIN)/tradewind plan --budget platform=2000 --budget merchant=4000 --store $(DEMO)/town --out $(DEMO)/plan --top 5
	@echo
	@echo "Done: $(DEMO)/report.html (real patterns), $(DEMO)/town.html and $(DEMO)/plan/plan.html (a simulated town)."
	@echo "Open the console on the town:"
	@echo "  $(BIN)/tradewind serve --store $(DEMO)/town --work $(DEMO)/desk --ledger $(DEMO)/ledger.db"

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 3 --dist loadgroup --no-loadscope-reorder  # a third fills the time in which two wait for servers and Spark

walk: demo .venv/.dev  # every kind of page of the console in Chromium, on the demo's stores; pictures in demo/shots
	TRADEWIND_DEMO=$(DEMO) $(BIN)/pytest tests/faces/console/test_walk.py

docs: .venv/.docs
	$(BIN)/python -m tradewind.faces.reference docs
	$(BIN)/mkdocs build --strict

bench: .venv/.bench
	$(BIN)/python benchmarks/metrics.py

clean:
	rm -rf .venv $(DEMO) site
