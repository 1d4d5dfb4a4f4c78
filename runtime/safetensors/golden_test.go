package safetensors

import (
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestGoldens reads what the Python package wrote (testdata/goldens.py).
func TestGoldens(t *testing.T) {
	text, err := os.ReadFile("testdata/types.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Metadata map[string]string
		Tensors  map[string]struct {
			Type, Hex string
			Shape     []int
		}
	}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	f, err := Open("testdata/types.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !maps.Equal(f.Metadata(), want.Metadata) {
		t.Errorf("metadata %q, want %q", f.Metadata(), want.Metadata)
	}
	if got := f.Names(); !slices.Equal(got, slices.Sorted(maps.Keys(want.Tensors))) {
		t.Errorf("names %q", got)
	}
	readable := 0
	for name, w := range want.Tensors {
		info, ok := f.Info(name)
		if !ok || info.Type != w.Type || !slices.Equal(info.Shape, w.Shape) || info.Bytes() != int64(len(w.Hex)/2) {
			t.Errorf("%s: %+v, want %+v", name, info, w)
		}
		_, data, err := f.Tensor(name)
		if typeNames[w.Type] == 0 {
			if err == nil || !strings.Contains(err.Error(), w.Type) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: error %v, want one that names the tensor and %s", name, err, w.Type)
			}
			continue
		}
		readable++
		if err != nil || hex.EncodeToString(data) != w.Hex {
			t.Errorf("%s: %x %v, want %s", name, data, err, w.Hex)
		}
	}
	if readable != 10 {
		t.Errorf("%d readable tensors, want 10", readable)
	}

	sharded, err := OpenDir("testdata/sharded")
	if err != nil {
		t.Fatal(err)
	}
	defer sharded.Close()
	for name, w := range map[string]string{"a.weight": "0000803f00000040", "b.weight": "4040"} {
		if _, data, err := sharded.Tensor(name); err != nil || hex.EncodeToString(data) != w {
			t.Errorf("%s: %x %v, want %s", name, data, err, w)
		}
	}
}
