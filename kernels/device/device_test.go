package device

import (
	"slices"
	"testing"
)

func TestParseList(t *testing.T) {
	for s, want := range map[string][]Device{
		"cpu":        {{CPU, 0}},
		"cpu:1":      {{CPU, 0}},
		"cpu:3":      {{CPU, 0}, {CPU, 1}, {CPU, 2}},
		"ref:2":      {{Ref, 0}, {Ref, 1}},
		"cuda":       {{CUDA, 0}},
		"cuda:0":     {{CUDA, 0}},
		"cuda:2":     {{CUDA, 2}},
		"cuda:0,1,3": {{CUDA, 0}, {CUDA, 1}, {CUDA, 3}},
		"cuda:all":   {{CUDA, -1}},
	} {
		if got, err := ParseList(s); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "gpu", "CPU", "cpu:", "cpu:0", "cpu:-1", "cpu:x", "cpu:1,2", "cpu:all", "cuda:", "cuda:-1", "cuda:0,", "cuda:a", "cuda:0;1"} {
		if got, err := ParseList(s); err == nil {
			t.Errorf("%q: got %v, want an error", s, got)
		}
	}
}

func TestNames(t *testing.T) {
	for d, want := range map[Device]string{{CPU, 0}: "cpu:0", {CUDA, 7}: "cuda:7", {Ref, 1}: "ref:1", {Type(9), 0}: "unknown:0"} {
		if d.String() != want {
			t.Errorf("%#v is called %q, want %q", d, d, want)
		}
	}
}
