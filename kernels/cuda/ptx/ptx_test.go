package ptx

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"dpolab/kernels/cuda/src"
)

// TestFresh compares the hashes of the texts that the PTX was made from with
// those of the texts as they are.
func TestFresh(t *testing.T) {
	stored, err := files.ReadFile("sources.txt")
	if err != nil {
		t.Fatal(err)
	}
	headers, err := filepath.Glob("../src/*.cuh")
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(headers)
	var want strings.Builder
	for _, m := range src.Modules() {
		h := sha256.New()
		for _, path := range append([]string{"../src/" + m + ".cu"}, headers...) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(h, "%s\x00%s\x00", filepath.Base(path), text)
		}
		fmt.Fprintf(&want, "%x %s\n", h.Sum(nil), m)
	}
	if want.String() != string(stored) {
		t.Errorf("the PTX is not of the present kernels: run make generate\nhave\n%swant\n%s", stored, want.String())
	}
}

// TestComplete finds every kernel in the PTX of each architecture, and nothing
// else in it.
func TestComplete(t *testing.T) {
	entry := regexp.MustCompile(`(?m)^\.visible \.entry (\w+)\(`)
	for _, c := range []struct {
		major, minor int
		target       string
	}{{8, 0, "sm_80"}, {8, 9, "sm_80"}, {9, 0, "sm_90a"}, {10, 0, "sm_80"}, {12, 0, "sm_80"}} {
		inModule := map[string]map[string]bool{}
		for kernel, module := range modules() {
			if inModule[module] == nil {
				found, image, ok := Find(kernel, c.major, c.minor)
				if !ok || found != module {
					t.Fatalf("%s for %d.%d: found %v in %q, want it in %q", kernel, c.major, c.minor, ok, found, module)
				}
				text := string(image)
				if !strings.Contains(text, ".version 8.0\n") || !strings.Contains(text, ".target "+c.target+"\n") {
					t.Errorf("%s for %d.%d is not PTX 8.0 for %s", module, c.major, c.minor, c.target)
				}
				inModule[module] = map[string]bool{}
				for _, m := range entry.FindAllStringSubmatch(text, -1) {
					inModule[module][m[1]] = true
				}
			}
			if !inModule[module][kernel] {
				t.Errorf("%s for %d.%d has no kernel %s", module, c.major, c.minor, kernel)
			}
		}
		for module, entries := range inModule {
			for kernel := range entries {
				if modules()[kernel] != module {
					t.Errorf("%s has a kernel %s, which the list of kernels lacks", module, kernel)
				}
			}
		}
	}
	if _, _, ok := Find("fill", 7, 5); ok {
		t.Error("a kernel for compute capability 7.5")
	}
	if _, _, ok := Find("nothing", 9, 0); ok {
		t.Error("a kernel of no module")
	}
}

func TestSource(t *testing.T) {
	for _, m := range src.Modules() {
		if text := Source(m); !strings.Contains(text, "struct Array {") || strings.Contains(text, "\n#include \"") {
			t.Errorf("the source of %s does not stand alone", m)
		}
	}
	if Source("nothing") != "" {
		t.Error("source of no module")
	}
}
