package dl

import (
	"strings"
	"testing"
	"unsafe"
)

func TestOpen(t *testing.T) {
	slots := make([]unsafe.Pointer, 2)
	if err := Open("libm.so.6", []string{"cos", "sin"}, slots); err != nil || slots[0] == nil || slots[0] == slots[1] {
		t.Errorf("%v, found %v", err, slots)
	}
	for _, c := range []struct{ path, name, says string }{
		{"libm.so.6", "no_such", "libm.so.6: no function no_such"},
		{"/nowhere/lib.so", "cos", "/nowhere/lib.so"},
	} {
		if err := Open(c.path, []string{c.name}, slots[:1]); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s in %s: %v", c.name, c.path, err)
		}
	}
	if Open("libm.so.6", []string{"cos"}, slots) == nil {
		t.Error("one function for two places")
	}
}
