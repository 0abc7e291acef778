# make demo    the whole pipeline on the embedded EC-dimer example, ending with a table and a picture
# make test    the tests
# Both set everything up on a fresh machine; `make help` lists the rest.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
AENET  := $(BIN)/aenet-gpr
RUNS   := runs

.PHONY: demo test test-slow test-slurm lint figures clean help
.DEFAULT_GOAL := help

help:
	@echo "make demo       run the embedded EC-dimer example (a few minutes on two cores)"
	@echo "make test       run the tests (fast ones; needs neither network nor published data)"
	@echo "make test-slow  run the long checks against the paper's numbers (uses published data if fetched)"
	@echo "make test-slurm run a workflow on a SLURM of one node (needs slurm-wlm, munge and root)"
	@echo "make lint       formatting, style and types"
	@echo "make figures    run all embedded examples and draw their pictures"
	@echo "make clean      remove the environment, runs and caches"

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip -c constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,label]'
	@touch $@

demo: $(STAMP)
	$(AENET) run configs/ec_dimer/workflow.yaml --workdir $(RUNS)/ec_dimer
	@echo
	@echo "picture of the comparison: $(RUNS)/ec_dimer/metrics_summary.png"
	@echo "parity plots:              $(RUNS)/ec_dimer/metrics_parity.png"

# one process per core, one thread each: two processes of two threads get in each other's way
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --ignore tests/slurm

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

test-slurm: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/slurm

lint: $(STAMP)
	$(BIN)/ruff check aenet_gpr_cli tests example_data
	$(BIN)/ruff format --check aenet_gpr_cli tests example_data
	$(BIN)/mypy aenet_gpr_cli

figures: $(STAMP)
	$(AENET) run configs/h2/workflow.yaml --workdir $(RUNS)/h2
	$(AENET) run configs/ec_dimer/workflow.yaml --workdir $(RUNS)/ec_dimer
	$(AENET) run configs/li_ec/workflow.yaml --workdir $(RUNS)/li_ec

clean:
	rm -rf $(VENV) $(RUNS) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
