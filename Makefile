# Two commands for a fresh machine: `make demo` shows what medtools does, `make test` checks it.
PYTHON ?= python3
CORES ?= 2
VENV := .venv
READY := $(VENV)/.ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help env demo test test-all test-slurm lint faults fuzz bench clean

help:  ## Say what there is.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

env: $(READY)  ## Make .venv with everything pinned in constraints.txt.

$(READY): pyproject.toml setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[all,dev]'
	touch $@

demo: env  ## Real and synthetic fMRI through the whole workflow, minutes; ends with results/report.html.
	snakemake --cores $(CORES) --rerun-incomplete
	snakemake --report results/report.html
	@echo
	@echo "Open results/report.html: choose a data set on the left, then '1 From signal to topology'."
	@echo "Figures: results/*/figures/   matrices: results/*/homology/PR and PS"

lint: env  ## Style, formatting and types.
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	mypy
	snakemake --lint
	python docs/make.py --check

test: lint  ## Everything quick: under 25 minutes on 2 cores.
	OMP_NUM_THREADS=1 pytest -n $(CORES) --dist loadfile
	pytest -m slurm -k 'verbatim or partition' tests/slurm  # skipped where a one-node SLURM cannot be installed

test-all: lint  ## Also what is slow or needs packages fetched by name.
	OMP_NUM_THREADS=1 pytest -n $(CORES) --dist loadfile -m 'not slurm'

test-slurm: env  ## The workflow through a real one-node SLURM (Debian, as root).
	pytest -m slurm tests/slurm

faults: env  ## Disturb every stage 140 times at random, run it again, compare every byte (root for full disks).
	OMP_NUM_THREADS=1 python tests/faults/fault_trials.py --trials 274

fuzz: env  ## Read 2,000 damaged files of every format.
	OMP_NUM_THREADS=1 python tests/fuzz/fuzz_campaign.py --mutations 2000

bench: env  ## Speed and memory against peers, side by side.
	for name in homology training fmri ct protein workflow few_shot spect classification; do python benchmarks/$$name.py || exit 1; done

clean:  ## Remove what the demo made.
	rm -rf results logs
