package dtype

import (
	"strings"
	"testing"
)

func TestNamesAndSizes(t *testing.T) {
	for _, c := range []struct {
		d     DType
		name  string
		size  int
		float bool
	}{
		{Float32, "float32", 4, true}, {BFloat16, "bfloat16", 2, true}, {Float16, "float16", 2, true},
		{Int32, "int32", 4, false}, {Int64, "int64", 8, false}, {Float64, "float64", 8, true},
	} {
		if c.d.String() != c.name || c.d.Size() != c.size || c.d.IsFloat() != c.float {
			t.Errorf("%d: %s of %d bytes, float %v; want %s of %d, %v", uint8(c.d), c.d, c.d.Size(), c.d.IsFloat(), c.name, c.size, c.float)
		}
		if got, err := Parse(c.name); err != nil || got != c.d {
			t.Errorf("Parse(%q) = %v, %v", c.name, got, err)
		}
	}
	if Invalid.Size() != 0 || Invalid.IsFloat() || Invalid.String() != "invalid" {
		t.Errorf("invalid: %s of %d bytes", Invalid, Invalid.Size())
	}
	if s := DType(99).String(); s != "dtype(99)" {
		t.Errorf("type 99 is called %q", s)
	}
}

func TestParseShortNames(t *testing.T) {
	for name, want := range map[string]DType{"f32": Float32, "fp32": Float32, "float": Float32, "bf16": BFloat16, "f16": Float16, "fp16": Float16,
		"half": Float16, "i32": Int32, "i64": Int64, "long": Int64, "f64": Float64, "fp64": Float64, "double": Float64} {
		if got, err := Parse(name); err != nil || got != want {
			t.Errorf("Parse(%q) = %v, %v; want %v", name, got, err, want)
		}
	}
	for _, name := range []string{"", "invalid", "Float32", "float8", "bf 16", "torch.float32"} {
		got, err := Parse(name)
		if err == nil || got != Invalid || !strings.Contains(err.Error(), "float16") {
			t.Errorf("Parse(%q) = %v, %v; want an error that says what is allowed", name, got, err)
		}
	}
}
