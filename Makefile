# Two commands set everything up on a fresh machine: `make demo` and `make test`. `make help` lists the rest.
PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin
# torch has a line of its own: an open range would fetch a CUDA build of gigabytes. On a GPU host set TORCH=torch.
TORCH       ?= torch==2.13.0
TORCHVISION ?= torchvision==0.28.0
CONSTRAIN   := -c constraints.txt
PYTHON := $(shell command -v $(PYTHON) 2>/dev/null || command -v python3)
export RAY_USAGE_STATS_ENABLED = 0
export RAY_ENABLE_UV_RUN_RUNTIME_ENV = 0
# Tests start some hundred processes, and each would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help native setup demo serve check test drills numeric lowest bench bench-search bench-gain bench-service chaos universes fuzz openapi constraints clean

help: ## what can be made
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "%-14s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The service runs on $(BIN)/s2e; the stamps remember what was installed, and from these files.
INSTALLED := pyproject.toml constraints.txt $(wildcard native/*.py native/*.h native/*.cpp)
# pip would compile all 20,000 modules of the environment, one after another, and a quarter is ever imported. Those of
# the engine and the service are imported once here; any other compiles when it is first used.
PIP  := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
WARM := import ray, sklearn.ensemble, s2e.train.trial, s2e.labels, workers.ray_backend, service.cli.main, service.api.app
define install
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (about 2 GB; one to two minutes the first time) ..."
	@$(PIP) $(TORCH)
	@$(PIP) --no-deps $(TORCHVISION)
	@$(PIP) $(CONSTRAIN) -e '.[$(1)]'
	@$(BIN)/python -c "$(WARM)"
	@touch $(VENV)/.run
endef

$(VENV)/.run: $(INSTALLED)
	$(call install,all)

comma := ,
$(VENV)/.dev: $(INSTALLED)
	$(call install,all$(comma)dev)
	@touch $@

setup: $(VENV)/.dev ## the environment with everything for development

demo: $(VENV)/.run ## a real search on real data, start to report (KEEP=1 leaves the service up)
	@$(BIN)/python examples/demo.py $(if $(KEEP),--keep,)

serve: $(VENV)/.run ## api, dispatcher and a local Ray, until Ctrl-C
	@$(BIN)/s2e serve

check: $(VENV)/.dev ## formatting, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

# Groups of tests in the order of tests/conftest.py, N at a time: two, or three with the drills, which wait for processes
# of theirs for half of their time.
PYTEST := -m pytest --dist loadgroup --no-loadscope-reorder -n
test: check ## check, then the tests whose real component is found (DRILLS=1 with the drills; TESTS=FILE for one file, whole)
	@$(BIN)/python $(PYTEST) $(or $(N),$(if $(DRILLS),3,2)) $(or $(TESTS),$(if $(DRILLS),,-m "not slow"))

drills: $(VENV)/.dev ## the tests of whole installations: kills, wheels, the demo, benchmarks in tiny form
	@$(BIN)/python $(PYTEST) $(or $(N),3) -m slow

# What stands for another processor: AVX2 kernels in torch and oneDNN, products in MKL's one order for all, OpenBLAS as
# on AMD's Zen.
OTHER   := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_CBWR=COMPATIBLE OPENBLAS_CORETYPE=Zen
NUMERIC := $(addprefix tests/,golden s2e/data s2e/labels s2e/methods s2e/networks s2e/search s2e/train \
             contracts/test_methods.py contracts/test_searchers.py contracts/test_spaces.py)
numeric: $(VENV)/.dev ## the numeric tests as another processor would run them, properties on more examples
	@$(OTHER) $(BIN)/python $(PYTEST) $(or $(N),2) --hypothesis-profile=thorough $(NUMERIC)

native: ## compile the native step beside the source (make setup does it too; nobody needs it)
	@$(PYTHON) native/build.py s2e/networks/_native.so

bench: $(VENV)/.dev ## the benchmarks of the ledger, as JSON (QUICK=1 for a short look)
	@$(BIN)/python -m benchmarks.run $(if $(QUICK),--quick,)

bench-search: $(VENV)/.dev ## every search rule on recorded trainings, as JSON, tables and plot (an hour)
	@OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.bench_search --results benchmarks/results

bench-gain: $(VENV)/.dev ## regret of choosing a method, cell by cell (S2E_DATA_ROOT; some ten CPU minutes for each of SEEDS=31,32)
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.bench_gain --seeds $(or $(SEEDS),31) --output benchmarks/results
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.bench_trusted_jobs --output benchmarks/results

bench-service: $(VENV)/.dev ## trials a second through the API on both databases, beside Optuna's storages; the cost of every view
	@$(BIN)/python -m benchmarks.bench_service --claims 100000
	@$(BIN)/python -m benchmarks.bench_views

chaos: $(VENV)/.dev ## the real service under random faults: FAULTS=200 SEED=1, SHORT=1, KILLS=1 (needs PostgreSQL's initdb)
	@$(BIN)/python -m benchmarks.chaos --faults $(or $(FAULTS),200) --seed $(or $(SEED),1) $(if $(SHORT),--short,) $(if $(KILLS),--kills,)

universes: $(VENV)/.dev ## simulated services under faults between any two writes: NUMBER=200 SEED=0
	@OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.universes --number $(or $(NUMBER),200) --first $(or $(SEED),0)

fuzz: $(VENV)/.dev ## requests made from the OpenAPI document, without a key and with each scope: CASES=10000
	@$(BIN)/python -m benchmarks.fuzz --cases $(or $(CASES),10000)

openapi: $(VENV)/.run ## write docs/openapi.json from the code
	@$(BIN)/s2e openapi > docs/openapi.json

LOWEST := .venv-lowest
lowest: ## the tests once with the lowest versions that pyproject.toml allows (but torch's), in an environment of its own
	@$(PYTHON) -m venv --clear $(LOWEST)
	@$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check uv $(TORCH)
	@$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps $(TORCHVISION)
	@printf '%s\n' $(TORCH) $(TORCHVISION) > $(LOWEST)/torch.txt
	@$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct -c $(LOWEST)/torch.txt -e '.[all,dev]'
	@# docs/openapi.json is the document of the versions in constraints.txt; others word it differently.
	@$(LOWEST)/bin/python $(PYTEST) $(or $(N),2) --ignore tests/service/test_openapi.py $(TESTS)

constraints: $(VENV)/.dev ## resolve constraints.txt anew (without torch)
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile pyproject.toml --extra all --extra dev --universal --no-annotate --no-header \
	  --no-emit-package torch --no-emit-package torchvision --no-emit-package triton -o constraints.txt
	@sed -i -E '/^(nvidia-|cuda-)/d' constraints.txt

clean: ## remove the environment and caches (never your data)
	@rm -rf $(VENV) $(LOWEST) .pytest_cache .mypy_cache .ruff_cache .hypothesis
