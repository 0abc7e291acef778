# make demo    the whole pipeline on the embedded EC-dimer example, ending with a table and a picture
# make test    the tests
# Both set everything up on a fresh machine; `make help` lists the rest.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
AENET  := $(BIN)/aenet-gpr
RUNS   := runs
FIGURES := figures_out
# index that torch comes from, for example https://download.pytorch.org/whl/cpu (no CUDA); empty: the usual one
TORCH_INDEX ?=

.PHONY: demo test test-slow test-slurm test-hostile test-scale lint hooks mlearn peers peers-mace bench figures figures-fast pictures $(FIGURES)/sets $(FIGURES)/fast/sets paper-h2 paper-ec-dimer paper-li-ec clean help
.DEFAULT_GOAL := help

help:
	@echo "make demo       run the embedded EC-dimer example (two minutes on two cores)"
	@echo "make test       run the fast tests and the examples in docstrings (neither network nor published data)"
	@echo "make test-slow  run the long checks against the paper's numbers (uses published data if fetched)"
	@echo "make test-slurm run a workflow on a SLURM of one node (needs slurm-wlm, munge and root)"
	@echo "make test-hostile give damaged files, absurd keys, limits, signals and odd names to every command (minutes)"
	@echo "make test-scale measure time and memory of the local process against the number of environments (minutes)"
	@echo "make lint       formatting, style and types"
	@echo "make hooks      check style and types before each commit"
	@echo "make figures-fast draw the paper's figures from reduced runs into figures_out/fast (minutes)"
	@echo "make figures    draw them from full runs, committees of ten on the published sets, into figures_out. On two cores"
	@echo "                H2 a minute, heterogeneous half an hour, EC dimers 80 minutes, Li-EC 100, Figure 7 a quarter of"
	@echo "                an hour; interrupted, it goes on where it stopped; on a cluster: aenet-gpr guide cluster"
	@echo "make paper-h2   train H2 by the paper's recipe, too, and draw it dashed beside ours, into figures_out/paper (a"
	@echo "                quarter of an hour of one core); paper-ec-dimer, paper-li-ec: the published sets (hours)"
	@echo "make mlearn     run the public benchmark of Zuo et al. (Li, Si, Ge, Mo; fetched) into runs/mlearn"
	@echo "make peers      fit EC dimers, ethanol, Li-EC, Li and Si with our models, sGDML (molecules) and gap_fit, each peer in"
	@echo "                an environment of its own: one table, runs/peers/peers.csv, and one picture (two hours of one core);"
	@echo "                make peers-mace: with MACE, too (hours)"
	@echo "make bench      measure what fits, labels, trainings and dynamics cost, into runs/bench/COMMIT.csv (half an hour;"
	@echo "                QUICK=1: minutes, embedded data; AGAINST=FILE.csv or a git reference, ROWS=, PROFILE=1)"
	@echo "make pictures   renew the pictures of the guide from full runs (hours)"
	@echo "make clean      remove the environment, runs and caches"

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip -c constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,label]'
	@touch $@

demo: $(STAMP)
	$(AENET) run configs/ec_dimer/workflow.yaml --workdir $(RUNS)/ec_dimer
	@echo
	@echo "picture of the comparison: $(RUNS)/ec_dimer/metrics_summary.png"
	@echo "parity plots:              $(RUNS)/ec_dimer/metrics_parity.png"

# one process per core, one thread each: two processes of two threads get in each other's way
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --ignore tests/slurm --doctest-modules \
	  --ignore aenet_gpr_cli/io/formats/metatomic.py aenet_gpr_cli tests  # which needs the extra metatomic

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

test-slurm: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/slurm

test-scale: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m scale tests/scale

# one process per core: the calls are forked from it
test-hostile: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m hostile -n auto tests/hostile

lint: $(STAMP)
	$(BIN)/ruff check aenet_gpr_cli tests example_data
	$(BIN)/ruff format --check aenet_gpr_cli tests example_data
	$(BIN)/mypy aenet_gpr_cli tests example_data

hooks: $(STAMP)
	$(BIN)/pre-commit install

# The graph of the paper's figures: configs/CASE/NAME.yaml -> runs/CASE/NAME/metrics.h5 -> figures_out/figure_N.pdf (and .png).
# Reduced configurations draw into figures_out/fast. `make -j2` works; what is up to date is not made again.
H2_FIGURES            := 2a-d 2e-h S1a-c S1d S2 S3 S4 S5 S6 S7 S17ac S17bd
EC_DIMER_FIGURES      := 3 4 S8 S12 S13a S13b S13c S18
LI_EC_FIGURES         := 5 6 S9 S14 S15a S15b S19
HETEROGENEOUS_FIGURES := S10 S11 S16

$(RUNS)/benchmark/%/benchmark.h5: configs/benchmark/%.yaml | $(STAMP)
	$(AENET) run $< --workdir $(@D)
	@touch $@

$(RUNS)/%/metrics.h5: configs/%.yaml | $(STAMP)
	$(AENET) run $< --workdir $(@D)
	@touch $@

# $(call figures_of,FOLDER,NUMBERS,ARTEFACT): all figures of one run, each a file, drawn together (`&:`)
define figures_of
$(foreach n,$(2),$(1)/figure_$(n).pdf) &: $(RUNS)/$(3)
	$(AENET) figures $$(<D) $(foreach n,$(2),--figure $(n)) -o $(1)
$(1)/sets: $(foreach n,$(2),$(1)/figure_$(n).pdf)
endef

$(eval $(call figures_of,$(FIGURES),$(H2_FIGURES),h2/displacements/metrics.h5))
$(eval $(call figures_of,$(FIGURES),$(EC_DIMER_FIGURES),ec_dimer/displacements/metrics.h5))
$(eval $(call figures_of,$(FIGURES),$(LI_EC_FIGURES),li_ec/displacements/metrics.h5))
$(eval $(call figures_of,$(FIGURES),$(HETEROGENEOUS_FIGURES),heterogeneous/workflow/metrics.h5))

$(eval $(call figures_of,$(FIGURES)/fast,$(H2_FIGURES),h2/displacements/metrics.h5))
$(eval $(call figures_of,$(FIGURES)/fast,$(EC_DIMER_FIGURES),ec_dimer/fast/metrics.h5))
$(eval $(call figures_of,$(FIGURES)/fast,$(LI_EC_FIGURES),li_ec/fast/metrics.h5))
$(eval $(call figures_of,$(FIGURES)/fast,$(HETEROGENEOUS_FIGURES),heterogeneous/fast/metrics.h5))

$(FIGURES)/figure_7.pdf: $(RUNS)/benchmark/published/benchmark.h5
$(FIGURES)/fast/figure_7.pdf: $(RUNS)/benchmark/fast/benchmark.h5
$(FIGURES)/figure_7.pdf $(FIGURES)/fast/figure_7.pdf:
	$(AENET) figures $(<D) --figure 7 -o $(@D)

# the published sets: named only where the full figures need them; MIRROR=FOLDER reads a local copy
$(RUNS)/published: | $(STAMP)
	$(AENET) fetch all $(if $(MIRROR),--mirror $(MIRROR))
	@mkdir -p $(@D) && touch $@

$(RUNS)/ec_dimer/displacements/metrics.h5 $(RUNS)/li_ec/displacements/metrics.h5 $(RUNS)/benchmark/published/benchmark.h5: | $(RUNS)/published

# the paper's recipe (configs/CASE/paper.yaml) dashed beside ours
define paper_beside
$(FIGURES)/paper/$(1)/figure_modes.pdf: $(RUNS)/$(1)/displacements/metrics.h5 $(RUNS)/$(1)/paper/metrics.h5
	$(AENET) figures $(RUNS)/$(1)/displacements --paper $(RUNS)/$(1)/paper $(foreach n,$(2),--figure $(n)) -o $$(@D)

paper-$(subst _,-,$(1)): $(FIGURES)/paper/$(1)/figure_modes.pdf
endef

$(eval $(call paper_beside,h2,2a-d 2e-h modes))
$(eval $(call paper_beside,ec_dimer,3 S8 modes))
$(eval $(call paper_beside,li_ec,5 S9 modes))

$(RUNS)/ec_dimer/paper/metrics.h5 $(RUNS)/li_ec/paper/metrics.h5: | $(RUNS)/published

# the public benchmark: Li, Si, Ge and Mo, each its own run
MLEARN := li si ge mo

$(RUNS)/published_mlearn: | $(STAMP)
	$(AENET) fetch mlearn $(if $(MIRROR),--mirror $(MIRROR))
	@mkdir -p $(@D) && touch $@

$(MLEARN:%=$(RUNS)/mlearn/%/metrics.h5): | $(RUNS)/published_mlearn

mlearn: $(MLEARN:%=$(RUNS)/mlearn/%/metrics.h5)

# Sets for peers, extended XYZ: the published ones as our configurations divide them, mlearn as it is, ethanol labelled here
PEERS := example_data/peers
PEER_SETS := ec_dimer ethanol li_ec li si
PEER_CODE := $(PEERS)/common.py $(PEERS)/peer_measure.py $(PEERS)/peer_rows.py

$(RUNS)/peers/ec_dimer/train.xyz $(RUNS)/peers/li_ec/train.xyz: $(RUNS)/peers/%/train.xyz: configs/%/published.yaml $(PEERS)/both_sets.py | $(RUNS)/published
	@mkdir -p $(@D)
	$(AENET) split -c $< -o $(@D)/split.h5
	$(BIN)/python $(PEERS)/both_sets.py $(@D)/split.h5 $(@D)

$(RUNS)/peers/li/train.xyz $(RUNS)/peers/si/train.xyz: $(RUNS)/peers/%/train.xyz: | $(STAMP)
	@mkdir -p $(@D)
	set -- $$($(AENET) fetch mlearn-$* $(if $(MIRROR),--mirror $(MIRROR))) && cp $$2 $(@D)/test.xyz && cp $$1 $@

$(RUNS)/peers/ethanol/train.xyz: example_data/make_ethanol_sets.py | $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python $< --output $(@D)

# $(call peer,SCRIPT,PYTHON,SET,OPTIONS): fit and measure
peer = $(2) $(PEERS)/$(1).py $(RUNS)/peers/$(3)/train.xyz $(RUNS)/peers/$(3)/test.xyz --work $(@:.csv=) --output $@ $(4)

# what would take more than 15 GB, or hours
GAP_li_ec := --n-max 6 --l-max 6
MACE_li := --epochs 6
MACE_si := --epochs 6
# mlearn: cells of many kinds, so no full process
OURS_li := --models "local process,GPR-ANN,direct,combined"
OURS_si := $(OURS_li)

$(RUNS)/peers/ours_%.csv: $(PEERS)/ours.py $(PEER_CODE) $(RUNS)/peers/%/train.xyz
	$(call peer,ours,$(BIN)/python,$*,$(OURS_$*))

$(RUNS)/peers/gdml_%.csv: $(PEERS)/gdml.py $(PEER_CODE) $(RUNS)/peers/%/train.xyz
	$(call peer,gdml,$(PYTHON),$*)

$(RUNS)/peers/gap_%.csv: $(PEERS)/gap.py $(PEER_CODE) $(RUNS)/peers/%/train.xyz
	$(call peer,gap,$(PYTHON),$*,$(GAP_$*))

$(RUNS)/peers/mace_%.csv: $(PEERS)/mace_model.py $(PEER_CODE) $(RUNS)/peers/%/train.xyz
	$(call peer,mace_model,$(PYTHON),$*,$(MACE_$*))

peers: $(PEER_SETS:%=$(RUNS)/peers/ours_%.csv) $(PEER_SETS:%=$(RUNS)/peers/gap_%.csv) $(RUNS)/peers/gdml_ec_dimer.csv $(RUNS)/peers/gdml_ethanol.csv
peers-mace: $(RUNS)/peers/mace_ec_dimer.csv $(RUNS)/peers/mace_ethanol.csv $(RUNS)/peers/mace_li.csv $(RUNS)/peers/mace_si.csv

# one table and one picture of all that there is
peers peers-mace:
	$(BIN)/python $(PEERS)/peer_table.py $(RUNS)/peers --output $(RUNS)/peers/peers.csv
	$(BIN)/python example_data/draw_error_time.py --table $(RUNS)/peers/peers.csv --output $(RUNS)/peers/error_time.png

# the cost of the usual work, row by row, on a machine where nothing else runs
bench: $(STAMP)
	$(BIN)/python example_data/bench/bench.py --output $(RUNS)/bench $(if $(QUICK),--quick) $(if $(ROWS),--rows "$(ROWS)") \
	  $(if $(AGAINST),--against "$(AGAINST)") $(if $(REPEATS),--repeats $(REPEATS)) $(if $(PROFILE),--profile)

# Figure 7 measures time: it waits until nothing else runs
figures: $(FIGURES)/sets
	$(MAKE) $(FIGURES)/figure_7.pdf

figures-fast: $(FIGURES)/fast/sets
	$(MAKE) $(FIGURES)/fast/figure_7.pdf

# what the guide shows, from the full runs
PICTURES := .github/pictures

.PRECIOUS: $(FIGURES)/%/figure_modes.pdf
$(FIGURES)/%/figure_modes.pdf: $(RUNS)/%/displacements/metrics.h5
	$(AENET) figures $(<D) --figure modes -o $(@D)

$(PICTURES)/modes_%.png: $(FIGURES)/%/figure_modes.pdf
	@mkdir -p $(@D)
	cp $(<:.pdf=.png) $@

$(PICTURES)/figure_%.png: $(FIGURES)/figure_%.pdf
	@mkdir -p $(@D)
	cp $(<:.pdf=.png) $@

$(RUNS)/ec_dimer/active/active.h5: configs/ec_dimer/active.yaml | $(STAMP)
	$(AENET) active $< --workdir $(@D)
	@touch $@

.PRECIOUS: $(FIGURES)/active_learning.pdf
$(FIGURES)/active_learning.pdf: $(RUNS)/ec_dimer/active/active.h5
	$(AENET) figures $(<D) -o $(@D)

$(PICTURES)/active.png: $(FIGURES)/active_learning.pdf
	@mkdir -p $(@D)
	cp $(<:.pdf=.png) $@

$(PICTURES)/paper_h2.png: $(FIGURES)/paper/h2/figure_modes.pdf
	@mkdir -p $(@D)
	cp $(<D)/figure_2e-h.png $@

pictures: $(PICTURES)/paper_h2.png $(PICTURES)/active.png $(PICTURES)/modes_h2.png $(PICTURES)/modes_ec_dimer.png $(PICTURES)/figure_3.png $(PICTURES)/modes_li_ec.png $(PICTURES)/figure_7.png

clean:
	rm -rf $(VENV) $(RUNS) $(FIGURES) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
