package session

import (
	"os"
	"path/filepath"
	"testing"
)

// Reboot makes the records of a session look as if they were written before the
// machine was started again.
func Reboot(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, headFile)
	head, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range readRecords(head) {
		r.Boot = "before"
		if err := r.write(head); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, head, 0o644); err != nil {
		t.Fatal(err)
	}
}
