# One-command jobs; `make help` lists them. Each sets up its own environment in .venv when that is missing or
# out of date, says what it does, and stops at the first error with the reason.
#
# PYTHON: the interpreter that makes .venv, e.g. `make test PYTHON=python3.12`.
# TESTS:  what `make test` runs, in one process, e.g. `make test TESTS=tests/nn/test_cells.py`.

PYTHON ?= python3
TESTS ?=

# How long OpenMP's threads spin while they wait (src/holdfast/_threads.py); your own setting is kept.
ifndef OMP_WAIT_POLICY
export GOMP_SPINCOUNT ?= 2000
endif

BIN := .venv/bin
READY := .venv/.ready
MODULES := .venv/.modules
SOURCES_OF_SETUP := pyproject.toml constraints.txt $(wildcard CMakeLists.txt csrc/*) $(MODULES)
CXX_FILES := $(wildcard csrc/*.h csrc/*.cpp tests/native/*.cpp)

# A worker for each core, 8 at most; a file's tests go to one worker, since they share trained models.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile --cov
QUICK := build/coverage.quick
COVERED := $(shell find src tests recipes docs -type f -not -name '*.pyc') $(wildcard *.md)
WHEEL := build/wheel

# An editable install remembers where each module was: it is made anew when modules come, go or move.
$(shell mkdir -p .venv; find src -name '*.py' | sort > $(MODULES).new; \
  cmp -s $(MODULES).new $(MODULES) && rm $(MODULES).new || mv $(MODULES).new $(MODULES))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-all check format wheel sanitize neon clean

help:  ## show this list
	@echo "Holdfast: the jobs are"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

setup: $(READY)  ## make .venv and install Holdfast with its development tools into it

demo: $(READY)  ## train, evaluate and forecast on data that needs no download
	@echo "==> holdfast demo"
	@$(BIN)/holdfast demo

ifeq ($(TESTS),)
test:  ## run the tests but for those marked slow (a few minutes)
	@rm -f $(QUICK)
	@$(MAKE) --no-print-directory $(QUICK)
else
test: $(READY)
	@echo "==> pytest $(TESTS)"
	@$(BIN)/python -m pytest $(TESTS)
endif

# What the quick tests covered; made anew after a change, so that `make test test-all` runs no test twice.
$(QUICK): $(READY) $(COVERED)
	@echo "==> pytest, without the slow tests"
	@mkdir -p $(@D)
	@COVERAGE_FILE=$@.new $(PYTEST) --cov-report= -m "not slow"
	@mv $@.new $@

test-all: $(QUICK)  ## run every test, and state the line coverage
	@echo "==> pytest, the slow tests"
	@cp $(QUICK) build/coverage.all
	@COVERAGE_FILE=build/coverage.all $(PYTEST) --cov-append --cov-report=term:skip-covered --cov-fail-under=95 -m slow

check: $(READY)  ## run the linters, the spelling and the type checker; changes nothing
	@echo "==> ruff check"
	@$(BIN)/ruff check
	@echo "==> ruff format --check"
	@$(BIN)/ruff format --check
	@echo "==> codespell, white space"
	@$(BIN)/codespell
	@if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then git diff --check "$$(git hash-object -t tree /dev/null)"; fi
	@echo "==> mypy src"
	@$(BIN)/mypy src
	@echo "==> clang-format --dry-run"
	@$(if $(CXX_FILES),$(BIN)/clang-format --dry-run --Werror $(CXX_FILES),echo "no C++ files")

format: $(READY)  ## fix what the linters can fix and format every file
	@echo "==> ruff check --fix, ruff format, clang-format"
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format
	@$(if $(CXX_FILES),$(BIN)/clang-format -i $(CXX_FILES),true)

wheel: $(READY)  ## build a wheel in dist, audit it, and try every task with it in a clean environment (minutes)
	@echo "==> building the wheel"
	@rm -rf $(WHEEL)
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
	  --config-settings cmake.define.HOLDFAST_NATIVE=ON --wheel-dir $(WHEEL)/built .
	@echo "==> auditwheel"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/auditwheel repair --wheel-dir $(WHEEL)/audited $(WHEEL)/built/*.whl
	@$(BIN)/auditwheel show $(WHEEL)/audited/*.whl
	@mkdir -p dist && cp $(WHEEL)/audited/*.whl dist/ && ls -l $(WHEEL)/audited/*.whl | awk '{ printf "%s: %.2f MB\n", $$NF, $$5 / 1e6 }'
	@echo "==> a clean environment without a compiler"
	@$(PYTHON) -m venv $(WHEEL)/env
	@for wheel in $(WHEEL)/audited/*.whl; do PATH="$(CURDIR)/$(WHEEL)/env/bin" $(WHEEL)/env/bin/python -m pip install --quiet \
	  --disable-pip-version-check --constraint constraints.txt "$$wheel[forecast,text,speech,music,insight]" || exit 1; done
	@echo "==> every task with the wheel"
	@PATH="$(CURDIR)/$(WHEEL)/env/bin" $(WHEEL)/env/bin/python tests/wheel_smoke.py --no-compiler

STRESS := tests/native
LAYERS ?= 2000

sanitize: $(READY)  ## the core on random layers under the address, undefined behaviour and thread sanitizers (minutes)
	@for kind in address,undefined thread; do echo "==> $$kind: building" && \
	  $(BIN)/cmake -S $(STRESS) -B build/$$kind -DSANITIZE=$$kind >/dev/null && \
	  $(BIN)/cmake --build build/$$kind --parallel 2 >/dev/null && build/$$kind/stress 0 $(LAYERS) || exit 1; done

neon: $(READY)  ## the core's NEON code in an emulator, against this machine's results
	@command -v aarch64-linux-gnu-g++ >/dev/null && command -v qemu-aarch64 >/dev/null || { echo "error: \
	needs a cross compiler and an emulator (Debian, Ubuntu: apt install g++-aarch64-linux-gnu qemu-user)" >&2; exit 1; }
	@echo "==> building for aarch64 and for this machine"
	@$(BIN)/cmake -S $(STRESS) -B build/neon -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
	  -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ -DCMAKE_EXE_LINKER_FLAGS=-static >/dev/null
	@$(BIN)/cmake -S $(STRESS) -B build/stress >/dev/null
	@for kind in neon stress; do $(BIN)/cmake --build build/$$kind --parallel 2 >/dev/null || exit 1; done
	@qemu-aarch64 build/neon/stress 0 500 build/neon.f32 && build/stress/stress 0 500 build/stress.f32
	@$(BIN)/python $(STRESS)/compare.py build/neon.f32 build/stress.f32

clean:  ## remove .venv, build products and caches
	@echo "==> removing .venv, build products and caches"
	@rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

define CHECK_PYTHON
import sys
if not (3, 11) <= sys.version_info < (3, 14):
    sys.exit("error: Holdfast needs Python 3.11, 3.12 or 3.13; $(PYTHON) is %d.%d. "
             "Give another: make PYTHON=python3.12" % sys.version_info[:2])
try:
    import venv, ensurepip
except ImportError as missing:
    sys.exit("error: $(PYTHON) has no module %s, which makes environments. "
             "Install it (Debian, Ubuntu: apt install python3-venv) or give another: make PYTHON=python3.12"
             % missing.name)
endef
export CHECK_PYTHON

$(READY): $(SOURCES_OF_SETUP)
	@command -v $(PYTHON) >/dev/null \
	  || { echo "error: there is no '$(PYTHON)'. Install Python 3.11 or newer, or give one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c "$$CHECK_PYTHON"
	@for compiler in "$${CXX:-c++}" g++ clang++; do command -v "$$compiler" >/dev/null && exit 0; done; \
	  echo "warning: no C++ compiler (\$$CXX, c++, g++, clang++): going on without the native core, on torch's kernels" >&2
	@test -x $(BIN)/python || { echo "==> making .venv with $(PYTHON)"; $(PYTHON) -m venv .venv; }
	@echo "==> installing Holdfast and its tools into .venv (a few minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[forecast,text,speech,music,insight,dev]'
	@touch $@
