package cuda

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"dpolab/kernels"
	"dpolab/kernels/cuda/src"
)

// mirrors are the argument structures of the kernels, Go beside CUDA C.
var mirrors = map[string]any{
	"Array": array{}, "FillArgs": fillArgs{}, "UnaryArgs": unaryArgs{}, "UnaryGradArgs": unaryGradArgs{}, "AffineArgs": affineArgs{},
	"SwigluArgs": swigluArgs{}, "SwigluGradArgs": swigluGradArgs{}, "SumPeersArgs": sumPeersArgs{}, "BinaryArgs": binaryArgs{},
	"CopyStridedArgs": copyStridedArgs{}, "TransposeArgs": transposeArgs{}, "GatherArgs": gatherArgs{}, "ScatterArgs": scatterArgs{},
	"ReduceArgs": reduceArgs{}, "SumSquaresArgs": sumSquaresArgs{}, "JoinSquaresArgs": joinSquaresArgs{}, "SoftmaxArgs": softmaxArgs{},
	"NormArgs": normArgs{}, "NormGradArgs": normGradArgs{}, "NormJoinArgs": normJoinArgs{}, "RotaryArgs": rotaryArgs{},
	"ListTensor": listTensor{}, "ListArgs": listArgs{}, "SquaresTensor": squaresTensor{}, "UpdateTensor": updateTensor{}, "AdamwArgs": adamwArgs{}, "RmspropArgs": rmspropArgs{}, "SgdArgs": sgdArgs{},
	"LogprobArgs": logprobArgs{}, "LogprobFinishArgs": logprobFinishArgs{}, "LogprobGradArgs": logprobGradArgs{},
	"Segment": kernels.Segment{}, "QueryTile": queryTile{}, "KeyTile": keyTile{}, "Sight": sight{}, "Strides": strides{}, "AttentionArgs": attentionArgs{},
}

// field is one field of a structure as C lays it out.
type field struct {
	name         string
	offset, size int
}

var (
	structure   = regexp.MustCompile(`(?ms)^struct (\w+) \{\n(.*?)^\};`)
	declaration = regexp.MustCompile(`^(?:const )?(\w+) (.*);$`)
	declarator  = regexp.MustCompile(`^(\*?)(\w+)(?:\[(\d+)\])?$`)
)

// fields lays a structure's body out: each field at a multiple of its
// alignment, which is that of its scalars.
func fields(t *testing.T, body string, sizes map[string][2]int) (out []field, size, align int) {
	align = 1
	for _, line := range strings.Split(body, "\n") {
		line, _, _ = strings.Cut(line, "//")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		m := declaration.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("a declaration that this test cannot read: %q", line)
		}
		for _, d := range strings.Split(m[2], ",") {
			n := declarator.FindStringSubmatch(strings.TrimSpace(d))
			s, ok := sizes[m[1]]
			if n == nil || !ok {
				t.Fatalf("a declarator that this test cannot read: %q in %q", d, line)
			}
			if n[1] == "*" {
				s = [2]int{8, 8}
			}
			count := 1
			if n[3] != "" {
				fmt.Sscan(n[3], &count)
			}
			size = ceil(size, s[1]) * s[1]
			out = append(out, field{n[2], size, s[0] * count})
			size += s[0] * count
			align = max(align, s[1])
		}
	}
	return out, ceil(size, align) * align, align
}

// TestMirrors compares every argument structure's size and each field's name,
// offset and size with the Go structure's.
func TestMirrors(t *testing.T) {
	// Where Go's names say more, or C's are Go's keywords.
	renamed := map[string]string{"type": "dtype", "unused": "padding"}
	sizes := map[string][2]int{"float": {4, 4}, "int": {4, 4}, "i64": {8, 8}, "double": {8, 8}, "void": {0, 1}}
	seen := map[string]bool{}
	for _, module := range src.Modules() {
		text, err := src.Module(module)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range structure.FindAllStringSubmatch(text, -1) {
			name := m[1]
			if !strings.HasSuffix(name, "Args") && mirrors[name] == nil {
				continue // a kernel's own
			}
			want, size, align := fields(t, m[2], sizes)
			sizes[name] = [2]int{size, align}
			if mirrors[name] == nil {
				t.Errorf("%s has no structure in Go", name)
				continue
			}
			seen[name] = true
			typ := reflect.TypeOf(mirrors[name])
			if int(typ.Size()) != size {
				t.Errorf("%s has %d bytes, in Go %d", name, size, typ.Size())
			}
			if typ.NumField() != len(want) {
				t.Errorf("%s has %d fields, in Go %d", name, len(want), typ.NumField())
				continue
			}
			for i, w := range want {
				g := typ.Field(i)
				is := strings.ToLower(strings.ReplaceAll(w.name, "_", ""))
				if r, ok := renamed[is]; ok {
					is = r
				}
				if strings.ToLower(g.Name) != is || int(g.Offset) != w.offset || int(g.Type.Size()) != w.size {
					t.Errorf("%s: field %s at %d with %d bytes, in Go %s at %d with %d", name, w.name, w.offset, w.size, g.Name, g.Offset, g.Type.Size())
				}
			}
		}
	}
	for name := range mirrors {
		if !seen[name] {
			t.Errorf("no kernel file has a structure %s", name)
		}
	}
}
