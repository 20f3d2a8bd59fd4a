# Everything works on a machine with Python 3.11, git and make. See `make help`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where to take torch from, where the default index would send a CUDA build: for instance
# make setup PIP_OPTIONS="--extra-index-url https://download.pytorch.org/whl/cpu"
PIP_OPTIONS ?=
# Where learning runs leave their results and, until they are done, their checkpoints.
RESULTS ?= build/learning
# `make chaos`: how many kills, and which plan. `make protocol`: how many runs.
KILLS ?= 200
SEED ?= 0
RUNS ?= 2000
# `make bench-serving`: where `make peers` has put other servers.
PEERS ?= build/peers
# For chaos, protocol and failpoints: sqlite or postgres.
DB ?= sqlite
# Tests that want the machine for themselves.
ALONE := tests/hosts tests/reliability/test_campaign.py
EXTRAS := train,baselines,parquet,minari,dmc,robotics,driving,atari,minatar,games,chess,health,recommendation,embedded,postgres,s3,dev
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup setup-browser demo run test check format bench bench-serving peers parity
.PHONY: learning figures paper applications feedback
.PHONY: chaos controls protocol failpoints drains outages clean

help: ## Show this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet $(PIP_OPTIONS) --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

setup: $(STAMP) ## Make .venv with everything in it, under constraints.txt (CPU torch)
	@$(BIN)/python -m migrations

setup-browser: ## Find a Chromium for the browser tests, or install one
	@./tests/browser/find-chromium.sh

demo: setup ## Train an agent through the API and let it act
	@$(BIN)/mrq demo

run: setup ## Start the service here; Ctrl+C stops it
	@$(BIN)/mrq up

test: setup setup-browser ## Run every test
	$(BIN)/pytest -q --numprocesses logical --maxprocesses 4 --dist worksteal $(ALONE:%=--ignore %)
	$(BIN)/pytest -q $(ALONE)

check: setup ## Formatting, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## Format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

parity: setup ## Compare with the golden numbers of the reference, in float64
	$(BIN)/python -m benchmarks.parity

# As in the service's own trainer: glibc must not hand large blocks back at every step.
bench learning paper: export MALLOC_TRIM_THRESHOLD_ = 1000000000
bench learning paper: export MALLOC_MMAP_THRESHOLD_ = 1000000000

bench: setup ## Benchmarks that fit in ten minutes
	$(BIN)/python -m benchmarks.act
	$(BIN)/python -m benchmarks.train

bench-serving: setup ## An action beside an echo and beside other servers (those of `make peers`)
	$(BIN)/python -m benchmarks.serving --peers $(PEERS)

peers: ## Install other model servers, each in an environment of its own under PEERS=build/peers
	for peer in litserve==0.2.19 mlserver==1.7.1 ray[serve]==2.60.0; do \
	  name=$${peer%%==*}; folder=$(PEERS)/$${name%%\[*}; \
	  $(PYTHON) -m venv $$folder || exit; \
	  $$folder/bin/pip install --quiet $$peer onnxruntime || exit; \
	done

learning: setup ## Learning runs of the preset small (hours; goes on where it was interrupted)
	$(BIN)/python -m benchmarks.learning
	$(BIN)/python -m benchmarks.learning.suite $(RESULTS)
	$(BIN)/python -m benchmarks.learning.report $(RESULTS)

figures: setup ## The figure of MR.Q beside the baselines, from the curves in the tree
	$(BIN)/python -m benchmarks.baselines

paper: setup ## Learning runs by the paper's protocol (half a day; goes on where it was interrupted)
	for task in cartpole-swingup ball_in_cup-catch reacher-easy HalfCheetah-v4; do \
	  for seed in 0 1; do \
	    $(BIN)/python -m benchmarks.learning.paper $$task $$seed $(RESULTS) || exit; \
	  done; \
	done
	$(BIN)/python -m benchmarks.learning.report $(RESULTS)

feedback: setup ## 10,000 logged actions and their rewards while the server is killed five times
	$(BIN)/python -m benchmarks.feedback

applications: setup ## One short real job for every application, through the whole service
	$(BIN)/python -m benchmarks.applications

chaos: setup ## Kill every process again and again: KILLS=200 SEED=0 DB=sqlite|postgres
	$(BIN)/python -m benchmarks.reliability --kills $(KILLS) --seed $(SEED) --database $(DB)

controls: setup ## Defects made on purpose: each must break the invariant named beforehand
	for control in no_fencing shared_file_name in_place_write reconciler_off late_ack; do \
	  $(BIN)/python -m benchmarks.reliability --control $$control || exit; \
	done

protocol: setup ## RUNS=2000 random orders of events against a model of the protocol (DB=sqlite or postgres)
	$(BIN)/python -m benchmarks.reliability.protocol_machine $(DB) --runs $(RUNS)

failpoints: setup ## Let each write, sync, commit and publish of a job's life fail (DB=sqlite or postgres)
	$(BIN)/python -m benchmarks.reliability.protocol_points $(DB)

drains: setup ## Fifty SIGTERMs to a worker that trains (DB=sqlite or postgres)
	$(BIN)/python -m benchmarks.reliability.drains --database $(DB)

outages: setup ## Broker frozen and killed, database killed, while clients go on asking
	$(BIN)/python -m benchmarks.reliability.outages

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
