# One list of commands; the work is in scripts/. `make` alone tells them.

BIN := .venv/bin
PYTEST_OPTIONS ?= -q
# Most tests wait for real engines: three at a time, file by file, in the order of tests/conftest.py.
TOGETHER := -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: help demo demo-stop setup test test-long test-provision check format bench-deploy bench-schedule bench-recover \
	bench-cli bench-dns bench-churn bench-network clean

help:
	@echo "make demo            three nodes, a stack, a page: everything from nothing, on this machine"
	@echo "make demo-stop       end the demo and remove what it made"
	@echo "make test            all tests, those with real etcd and real engines too"
	@echo "make test-long       random histories of several managers, 100,000 steps (SEED='1 2' STEPS=5000), and networks"
	@echo "                     on every engine, with nodes and processes that fail under load"
	@echo "make test-provision  two fresh Debian machines, booted here, become a cluster (root, minutes)"
	@echo "make check           ruff, mypy and the rules of the architecture"
	@echo "make format          let ruff rewrite the code"
	@echo "make bench-deploy    replicas started by swarmpy and by docker run, side by side"
	@echo "make bench-schedule  placements a second, in memory"
	@echo "make bench-recover   failures of swarmpy and of Docker Swarm, side by side: how long they last"
	@echo "make bench-cli       start-up of the command line"
	@echo "make bench-dns       questions for names a second, beside dnsmasq"
	@echo "make bench-churn     containers that come and go: how long until every node shows it"
	@echo "make bench-network   bytes and requests between nodes, beside the bare path and Docker Swarm"
	@echo "make clean           remove what was made here, the virtual environment too"

demo:
	@scripts/demo.sh

demo-stop:
	@scripts/demo-stop.sh

setup:
	@scripts/setup.sh test

test: setup
	$(BIN)/pytest $(TOGETHER) $(PYTEST_OPTIONS)

test-provision: setup
	scripts/test-provision.sh

SEED ?= $(shell seq -s ' ' 101 120)
STEPS ?= 5000
# What tests/support/effort.py makes longer: of networks 100,000 steps each.
PROPERTIES := $(addprefix tests/unit/test_, network_addresses.py allocator_vips.py dispatcher_network_map.py \
	scheduler_model.py state.py stack_any_text.py api_reading.py)
test-long: setup
	SWARMPY_WALK_SEEDS="$(SEED)" SWARMPY_WALK_STEPS=$(STEPS) \
		$(BIN)/pytest $(TOGETHER) --dist load --timeout 1800 -q tests/cluster/test_cluster_walk.py
	SWARMPY_LONG=1 $(BIN)/pytest $(TOGETHER) --dist load --timeout 1800 -q $(PROPERTIES)
	$(BIN)/pytest --long -m long -s -q tests/lab

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	shellcheck scripts/*.sh vagrant/*.sh .ci/run
	ruby -c vagrant/Vagrantfile
	$(BIN)/pytest -q tests/test_architecture.py

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-deploy: setup
	$(BIN)/python benchmarks/deploy.py

bench-schedule: setup
	$(BIN)/python benchmarks/schedule.py

bench-recover: setup
	$(BIN)/python benchmarks/recover.py

bench-cli: setup
	$(BIN)/python benchmarks/cli.py

bench-dns: setup
	$(BIN)/python benchmarks/names.py

bench-churn: setup
	$(BIN)/python benchmarks/churn.py

bench-network: setup
	$(BIN)/python benchmarks/network.py

clean: demo-stop
	rm -rf .venv .cache .demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
