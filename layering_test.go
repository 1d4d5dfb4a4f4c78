package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// layers lists every package from bottom to top: a package may import only
// packages that stand in an earlier line, or in its own line if the line is a
// folder. A package missing here fails the test, so the house plan stays whole.
var layers = []string{
	"kernels/dtype",
	"kernels/device",
	"kernels",
	"kernels/ref",
	"kernels/kerneltest",
	"kernels/internal/blocks",
	"kernels/cpu",
	"kernels/cpu/internal/emulated",
	"kernels/internal/find",
	"kernels/internal/dl",
	"kernels/cuda/internal/driver",
	"kernels/cuda/internal/blas",
	"kernels/cuda/internal/nvrtc",
	"kernels/cuda/src",
	"kernels/cuda/internal/emulate",
	"kernels/cuda/internal/fake",
	"kernels/cuda/ptx",
	"kernels/cuda",
	"kernels/cuda/cells",
	"kernels/queuetest",
	"kernels/nccl",
	"kernels/nccl/nccltest",
	"runtime/tensor",
	"runtime/session",
	"runtime/tensor/gradcheck",
	"runtime/nn",
	"runtime/optim",
	"runtime/distributed/rendezvous",
	"runtime/distributed",
	"runtime/fsdp",
	"runtime/safetensors",
	"runtime/tokenizer",
	"runtime/data",
	"runtime/models",
	"runtime/models/gpt2",
	"runtime/models/gptneox",
	"runtime/models/llama",
	"runtime/models/all",
	"runtime/loss",
	"runtime/generate",
	"runtime/train",
	"runtime/config",
	"runtime/demo",
	"runtime/bench",
	"runtime/real",
	"stdlib/internal/gonb",
	"stdlib/display",
	"stdlib/plot",
	"stdlib/live",
	"stdlib/dpo",
	"stdlib/symbols/source/cmp",
	"stdlib/symbols/source/errors",
	"stdlib/symbols/source/iter",
	"stdlib/symbols/source/maps",
	"stdlib/symbols/source/math/rand/v2",
	"stdlib/symbols/source/reflect",
	"stdlib/symbols/source/slices",
	"stdlib/symbols/source/sync",
	"stdlib/symbols/source/sync/atomic",
	"stdlib/symbols/internal/generate",
	"stdlib/symbols/internal/table",
	"stdlib/symbols",
	"repl/frontend",
	"repl",
	"repl/terminal",
	"notebooks/jupyter/internal/zmtp",
	"notebooks/jupyter",
	"notebooks/internal/cells",
	"notebooks/internal/convert",
	"notebooks/examples",
	"examples",
	"examples/beta-sweep",
	"examples/bf16-toggle",
	"examples/custom-loss",
	"",
}

// siblings must not import each other although their lines would allow it.
var siblings = []string{"runtime/models/gpt2", "runtime/models/gptneox", "runtime/models/llama"}

func TestLayering(t *testing.T) {
	rank := map[string]int{}
	for i, l := range layers {
		rank[path(l)] = i
	}
	sibling := map[string]bool{}
	for _, s := range siblings {
		sibling[path(s)] = true
	}
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		at, known := rank[p.ImportPath]
		if !known {
			t.Errorf("%s has no place in the layers", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			below, ours := rank[imp]
			if ours && below >= at {
				t.Errorf("%s imports %s, which does not stand below it", p.ImportPath, imp)
			}
			if ours && sibling[p.ImportPath] && sibling[imp] {
				t.Errorf("%s imports %s: architectures do not know each other", p.ImportPath, imp)
			}
		}
	}
	if seen < len(siblings) {
		t.Errorf("go list named %d packages only", seen)
	}
}

func path(layer string) string {
	if layer == "" {
		return "dpolab"
	}
	return "dpolab/" + layer
}
