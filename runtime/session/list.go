package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// Info describes a session without attaching it.
type Info struct {
	Name, Dir string
	State     json.RawMessage // nil in an empty session
	Bytes     int64           // on disk
	Used      time.Time       // the last change
	Attached  bool            // by some process
}

// DefaultRoot is where sessions are kept that are named without a path:
// $XDG_STATE_HOME/dpolab/sessions, by default under ~/.local/state.
func DefaultRoot() (string, error) {
	base := os.Getenv("XDG_STATE_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("session: %w", err)
		}
		base = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(base, "dpolab", "sessions"), nil
}

// List describes the sessions under root, by name.
func List(root string) ([]Info, error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	var out []Info
	for _, e := range entries {
		dir := filepath.Join(root, e.Name())
		if strings.HasPrefix(e.Name(), ".") || !isSession(dir) { // a dot: half removed
			continue
		}
		info := Info{Name: e.Name(), Dir: dir, Attached: locked(dir)}
		if head, err := os.ReadFile(filepath.Join(dir, headFile)); err == nil && len(head) == 2*slotSize {
			if records := readRecords(head); len(records) > 0 {
				info.State = records[0].State
			}
		}
		filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil // a file that has just gone
			}
			if st, err := d.Info(); err == nil && !d.IsDir() {
				info.Bytes += st.Size()
				if st.ModTime().After(info.Used) {
					info.Used = st.ModTime()
				}
			}
			return nil
		})
		out = append(out, info)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

func isSession(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, headFile))
	return err == nil
}

// Remove deletes the session in dir, unless a process holds it.
func Remove(dir string) error {
	if !isSession(dir) {
		return fmt.Errorf("session %s: there is none", dir)
	}
	f, err := lock(dir)
	if err != nil {
		return fmt.Errorf("session %s: %w", dir, err)
	}
	defer f.Close()
	// Out of the way first, so that no half of it is ever attached.
	gone := filepath.Join(filepath.Dir(dir), fmt.Sprintf(".%s.removed-%d", filepath.Base(dir), os.Getpid()))
	if err := os.Rename(dir, gone); err != nil {
		return fmt.Errorf("session %s: %w", dir, err)
	}
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("session %s: %w", dir, err)
	}
	return nil
}
