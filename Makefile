.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := build/demo
WORKERS ?= 2
PYTEST = $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: help
help: ## Show what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(VENV)/.product: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.product
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev
	touch $@

.PHONY: install
install: $(VENV)/.product ## Make .venv with deqir in it

.PHONY: demo
demo: $(VENV)/.product ## Restore the sample archives and compare with the originals
	$(BIN)/deqir restore samples/archive $(DEMO) --task sr --scale 4 --reference samples/originals
	$(BIN)/python examples/compare.py samples/archive $(DEMO) samples/originals --scale 4 --picture $(DEMO)-before-after.png
	$(BIN)/deqir restore samples/found $(DEMO)-found --reference samples/originals
	$(BIN)/python examples/compare.py samples/found $(DEMO)-found samples/originals --scale 1 --picture $(DEMO)-found.png

.PHONY: test
test: $(VENV)/.dev ## Run the tests
	$(BIN)/deqir models fetch ffdnet
	$(PYTEST)

.PHONY: test-fast
test-fast: $(VENV)/.dev ## Run the tests of the packages that need no server and no other device; two minutes
	$(PYTEST) -m 'not (ray or s3 or prefect or smoke or slow or stack)' --ignore tests/devices --ignore tests/training

.PHONY: bench-real
bench-real: $(VENV)/.dev ## Restore realistic photographs and compare with Real-ESRGAN; ten minutes
	$(BIN)/python -m benchmarks.real

.PHONY: test-cuda
test-cuda: $(VENV)/.dev ## Run the tests that need an NVIDIA GPU; a minute
	$(BIN)/python -m pytest -q tests/devices

.PHONY: test-stack
test-stack: $(VENV)/.dev ## Run the tests that kill parts of a whole stack; ten minutes
	$(BIN)/python -m pytest -q -m stack

.PHONY: stack
stack: $(VENV)/.dev ## Start Prefect, Ray, an object store, a worker and the event receiver on this machine
	$(BIN)/python -m infra.stack up

.PHONY: stack-down
stack-down: $(VENV)/.dev ## End them again
	$(BIN)/python -m infra.stack down

.PHONY: screenshots
screenshots: $(VENV)/.dev ## Take the pictures of docs/screenshots anew, with Chromium; three minutes
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group screenshots
	$(BIN)/python -m infra.screenshots

.PHONY: check
check: $(VENV)/.dev ## Run the linters and the type checker
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: check-infra
check-infra: $(VENV)/.dev ## Check the Dockerfile and the compose file
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group infra
	$(BIN)/hadolint infra/Dockerfile
	$(BIN)/docker-compose --file infra/compose.yaml --env-file infra/compose.env.example config --quiet

.PHONY: format
format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: bench-gpu
bench-gpu: $(VENV)/.dev ## Measure the engine on an NVIDIA GPU; see docs/performance.md
	$(BIN)/deqir models fetch ffdnet
	$(BIN)/python -m benchmarks.gpu

.PHONY: bench
bench: $(VENV)/.dev ## Measure convergence; see docs/convergence.md
	$(BIN)/deqir models fetch ffdnet
	$(BIN)/python -m benchmarks.convergence
