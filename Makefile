# The front door. `make help` lists the words; everything else is Meson's (meson.build).

PYTHON ?= /usr/bin/python3
export DOTNET_NOLOGO = 1
export DOTNET_CLI_TELEMETRY_OPTOUT = 1
# The package is tested as installed, never from the source tree.
unexport PYTHONPATH

VENV := .venv
PY := $(VENV)/bin/python
STAMPS := build/stamps
WHEEL := $(STAMPS)/wheel
MESON_TEST := meson test --print-errorlogs -C
MESON_FLAGS := -Dpython=disabled -Dpowershell=disabled -Dtests=enabled

MINUTES ?= 10
FUZZ_SECONDS ?= 3600
CRASH := build/c/tests/crash
WINDOWS := scripts/windows
MODULE := build/wheel/powershell/ZeroCopyBridge.dll

SOURCES := $(shell find include src python powershell scripts/publish-module.sh meson.build \
	meson_options.txt pyproject.toml -type f -not -path '*/__pycache__/*' -not -name '*.md')
C_FILES = $(shell find include src python/native tests examples benchmarks fuzz \
	-name '*.[ch]' 2>/dev/null)
CSPROJ := powershell/src/ZeroCopyBridge/ZeroCopyBridge.csproj

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup setup-lint setup-bench build demo test test-c test-endtoend test-python test-powershell examples \
	bench bench-quick bench-build format lint check sanitize asan tsan stress stress-c stress-python \
	faults faults-some models hardening fuzz fuzz-minute soak soak-minute setup-stress wheel clean \
	setup-windows build-windows test-windows lint-windows test-desktop-module

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

setup: ## bring the machine what the project needs (system packages, PowerShell)
	@scripts/setup.sh

setup-lint:
	@scripts/setup.sh --lint

setup-bench:
	@scripts/setup.sh --bench

setup-stress:
	@scripts/setup.sh --stress

build: $(WHEEL) ## leave a ready interpreter, package installed, at .venv/bin/python

wheel: $(WHEEL) ## build the wheel into dist/
	@ls dist/*.whl

demo: build ## watch data cross between Python and PowerShell, both ways
	@$(PY) examples/demo.py

test: test-c test-endtoend test-python test-powershell ## everything: C, Python, PowerShell

test-c: build/c/build.ninja ## the C tests
	$(MESON_TEST) build/c

test-endtoend: build build/c/build.ninja ## a C program with a real engine
	ZCB_TEST_MODULE=$(CURDIR)/$(MODULE) $(MESON_TEST) build/c --suite endtoend

test-python: build ## the Python tests, on the installed wheel (PYTEST="-k word" picks)
	$(PY) -X dev -m pytest $(PYTEST)

test-powershell: build ## the tests of the PowerShell side
	scripts/run-powershell-tests.sh

examples: build build/c/build.ninja ## run every example
	meson compile -C build/c
	scripts/run-examples.sh $(PY) build/c/examples $(CURDIR)/$(MODULE)

bench: bench-build ## measure the bridge, its peers and the machine's limits; draw docs/images/
	$(PY) -B benchmarks/bench.py --pictures $(BENCH)

bench-quick: bench-build ## the same in under two minutes, without pictures (BENCH="--only word" picks)
	$(PY) -B benchmarks/bench.py --quick $(BENCH)

bench-build: setup-bench build build/bench/build.ninja
	meson compile -C build/bench bench-limits

format: setup-lint ## rewrite the sources as the formatters want them
	clang-format -i $(C_FILES)
	dotnet format $(CSPROJ)

lint: setup-lint build/lint/build.ninja ## formatters, linters and compiler warnings
	scripts/check-listed.sh
	scripts/check-rooms.sh
	scripts/check-partners.sh
	clang-format --dry-run --Werror $(C_FILES)
	meson compile -C build/lint
	run-clang-tidy -quiet -p build/lint '/(src|python/native|examples)/' 2>/dev/null
	$(PYTHON) -m mypy
	dotnet format $(CSPROJ) --verify-no-changes

check: lint test examples sanitize ## what CI gates

sanitize: asan tsan ## the C tests under AddressSanitizer, UBSan and ThreadSanitizer

asan: build/asan/build.ninja
	$(MESON_TEST) build/asan --timeout-multiplier 4

tsan: build/tsan/build.ninja
	$(MESON_TEST) build/tsan --timeout-multiplier 8

stress: models hardening faults-some stress-c fuzz-minute soak-minute stress-python ## the short form of all of it

stress-c: build/c/build.ninja ## the C tests again and again, and 1,000 deaths of either side
	$(MESON_TEST) build/c --suite c --repeat 3
	$(CRASH)/engine_killed --runs 1000
	$(CRASH)/program_killed --runs 1000
	$(CRASH)/stopped

stress-python: build ## random moments, shortage, deaths of the real engine, properties (ZCB_EXAMPLES, ZCB_CRASHES)
	$(PY) -m pytest -m stress --timeout 600 $(PYTEST)

faults: build/faults/build.ninja ## let every system call and allocation of libzcb fail, one after the other
	$(MESON_TEST) build/faults --suite faults

faults-some: build/faults/build.ninja
	meson compile -C build/faults
	build/faults/tests/faults/faults --stride=5

models: setup-stress ## check the models of waits and blocks, and that the broken ones are caught
	models/check.sh

hardening: build build/c/build.ninja ## look at what the compiler and the linker made
	meson compile -C build/c
	scripts/check-hardening.sh $$(find $(VENV)/lib build/c/src build/c/tests/c -type f \
		\( -name 'libzcb.so*' -o -name '_native*.so' -o -name fake_engine \) -not -path '*.p/*')

fuzz: setup-stress ## fuzz every target, and a hostile process, for FUZZ_SECONDS=3600 each
	fuzz/run.sh $(FUZZ_SECONDS)

fuzz-minute: setup-stress
	fuzz/run.sh 60

soak-minute: build
	$(PY) tests/soak/soak.py --minutes 1

soak: build ## messages of random sizes both ways for MINUTES=10, compared byte by byte, and a look at what grows
	$(PY) tests/soak/soak.py --minutes $(MINUTES) $(SOAK)

setup-windows: setup
	@scripts/setup.sh --windows
	@scripts/windows/engine.sh
	@scripts/windows/cmocka.sh

build-windows: build/windows/c/build.ninja ## cross-build libzcb, its tests and the module for Windows
	meson compile -C build/windows/c

test-windows: build-windows ## the C tests and the end-to-end test under Wine, and the extension's compile check
	$(WINDOWS)/wine.sh wineboot --init
	scripts/windows/test.sh build/windows/c
	tests/windows/python/check.sh build/windows/c

lint-windows: setup-lint build-windows ## the linter on what Linux does not compile
	run-clang-tidy -quiet -p build/windows/c '/src/platform/windows/' 2>/dev/null

test-desktop-module: build ## the Python tests with the module's build for Windows PowerShell, loaded by PowerShell
	scripts/test-desktop-module.sh $(PY) $(PYTEST)

clean: ## remove everything that was built
	rm -rf build dist $(VENV) .mesonpy-* .hypothesis

# The wheel and the environment

$(VENV)/pyvenv.cfg: | setup
	$(PYTHON) -m venv --clear --without-pip --system-site-packages $(VENV)

$(WHEEL): $(SOURCES) $(VENV)/pyvenv.cfg | setup
	rm -rf dist
	@# meson-python takes its own file in the source tree for the sign of a configured folder.
	test -e build/wheel/build.ninja || rm -rf build/wheel .mesonpy-native-file.ini
	mkdir -p build/wheel $(STAMPS)
	$(PYTHON) -m pip --quiet wheel --no-build-isolation --no-deps --no-index \
		--config-settings=builddir=build/wheel --wheel-dir dist .
	$(PY) -m pip --quiet install --no-deps --no-index --force-reinstall dist/*.whl
	@touch $@

# The C side alone, one build folder a purpose

build/c/build.ninja: | setup
	meson setup build/c $(MESON_FLAGS)

build/bench/build.ninja: | setup
	meson setup build/bench -Dpython=disabled -Dpowershell=disabled -Dtests=disabled \
		-Dexamples=false -Dbenchmarks=true --buildtype=release

build/lint/build.ninja: | setup
	meson setup build/lint -Dpython=enabled -Dpowershell=disabled -Dtests=enabled -Dbenchmarks=true \
		-Dwerror=true

build/asan/build.ninja: | setup
	meson setup build/asan $(MESON_FLAGS) -Db_sanitize=address,undefined -Db_lundef=false

build/faults/build.ninja: | setup
	meson setup build/faults $(MESON_FLAGS) -Dfaults=true -Db_sanitize=address,undefined -Db_lundef=false

# Meson 1.0 knows no path relative to a cross file: those that are this machine's stand in one of their own.
build/windows/paths.ini: Makefile
	mkdir -p $(@D)
	printf "[binaries]\nexe_wrapper = '%s'\n\n[built-in options]\npkg_config_path = '%s'\n" \
		'$(CURDIR)/$(WINDOWS)/wine.sh' '$(CURDIR)/build/windows/cmocka/lib/pkgconfig' >$@

build/windows/c/build.ninja: build/windows/paths.ini | setup-windows
	meson setup build/windows/c --cross-file $(WINDOWS)/mingw-w64.ini --cross-file build/windows/paths.ini \
		-Dpython=disabled -Dpowershell=enabled -Dtests=enabled -Dwerror=true

build/tsan/build.ninja: | setup
	meson setup build/tsan $(MESON_FLAGS) -Db_sanitize=thread -Db_lundef=false
