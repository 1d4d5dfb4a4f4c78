// Package device names the places where tensors live: "cpu:0", "cuda:1".
//
// A CPU index is a rank, not a socket: cpu:0 and cpu:1 share the machine's
// cores but have an allocator and statistics of their own, which is what lets
// FSDP over several CPU ranks be tested and measured without a GPU.
package device

import (
	"fmt"
	"strconv"
	"strings"
)

// Type is a kind of device.
type Type uint8

const (
	CPU Type = iota
	CUDA
	// Ref is the slow float64 oracle.
	Ref
)

func (t Type) String() string {
	switch t {
	case CPU:
		return "cpu"
	case CUDA:
		return "cuda"
	case Ref:
		return "ref"
	}
	return "unknown"
}

// Device is one device of a type.
type Device struct {
	Type  Type
	Index int
}

func (d Device) String() string { return fmt.Sprintf("%s:%d", d.Type, d.Index) }

// ParseList reads what the devices key accepts: "cpu" is one rank, "cpu:4"
// four ranks on the CPU, "cuda:0" the first GPU, "cuda:0,2" two GPUs by index.
// "cuda:all" is returned with Index -1, for the caller who knows how many
// there are.
func ParseList(s string) ([]Device, error) {
	kind, rest, counted := strings.Cut(s, ":")
	switch kind {
	case "cpu", "ref":
		t := CPU
		if kind == "ref" {
			t = Ref
		}
		n := 1
		if counted {
			var err error
			if n, err = strconv.Atoi(rest); err != nil || n < 1 {
				return nil, fmt.Errorf("device: %q: want %s:N with N ranks, N at least 1", s, kind)
			}
		}
		list := make([]Device, n)
		for i := range list {
			list[i] = Device{t, i}
		}
		return list, nil
	case "cuda":
		if rest == "all" {
			return []Device{{CUDA, -1}}, nil
		}
		if !counted {
			rest = "0"
		}
		var list []Device
		for _, f := range strings.Split(rest, ",") {
			i, err := strconv.Atoi(f)
			if err != nil || i < 0 {
				return nil, fmt.Errorf("device: %q: want cuda:0, cuda:0,1 or cuda:all", s)
			}
			list = append(list, Device{CUDA, i})
		}
		return list, nil
	}
	return nil, fmt.Errorf("device: unknown device %q, want cpu:N, cuda:I or cuda:all", s)
}
