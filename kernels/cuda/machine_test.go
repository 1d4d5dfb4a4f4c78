//go:build cuda

package cuda

import "testing"

// TestMachine says what there is: the first part of make test-cuda, without
// which the others mean nothing.
func TestMachine(t *testing.T) {
	gpu(t, 0)
	s := Examine()
	for _, g := range s.GPUs {
		t.Logf("%s: %s, compute capability %d.%d, %d multiprocessors, %s, %d bytes of shared memory a block", g.PCIBus, g.Name, g.Major, g.Minor, g.Multiprocessors, size(g.Memory), g.SharedMemoryOptin)
	}
	for _, l := range s.Libraries {
		if l.Err != nil {
			t.Logf("%s: %v", l.Name, l.Err)
			continue
		}
		t.Logf("%s %s: %s", l.Name, l.Version, l.Path)
	}
	if len(s.GPUs) == 0 || s.Libraries[0].Err != nil || s.Libraries[1].Err != nil {
		t.Error("a GPU, its driver and cuBLASLt are needed")
	}
}
