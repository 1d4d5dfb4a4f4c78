package jupyter

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// maxHistory is how many cells of earlier sessions are kept.
const maxHistory = 10_000

// entry is one cell that ran.
type entry struct {
	Session int    `json:"session"`
	Line    int    `json:"line"`
	Input   string `json:"input"`
	Output  string `json:"output,omitempty"`
}

// history is the cells of this session and of earlier ones. The file has one
// entry a line, in JSON; kernels that run at the same time append to the same
// file.
type history struct {
	mu      sync.Mutex
	file    *os.File // nil if nothing is kept
	session int
	entries []entry // earlier sessions first, as they were when this one began
}

// HistoryFile is where history is kept unless told otherwise: below
// XDG_STATE_HOME; empty if there is no place for it.
func HistoryFile() string {
	dir := os.Getenv("XDG_STATE_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(dir, "dpolab", "notebook-history.jsonl")
}

// openHistory reads what earlier sessions have left and begins a new session.
func openHistory(file string) (*history, error) {
	h := &history{session: 1}
	if file == "" {
		return h, nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	// The number of the session is taken by writing its first line, under a
	// lock: two kernels that start together are two sessions.
	if err := lock(f); err != nil {
		f.Close()
		return nil, err
	}
	defer unix.Flock(int(f.Fd()), unix.LOCK_UN)
	if err := h.load(f); err != nil {
		f.Close()
		return nil, err
	}
	h.file = f
	h.write(entry{Session: h.session})
	return h, nil
}

// lock waits a little for other kernels: without its history a kernel still
// serves.
func lock(f *os.File) error {
	for range 50 {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
			return fmt.Errorf("%s: %w", f.Name(), err)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return fmt.Errorf("%s: another process has locked it", f.Name())
}

// load reads the file, and shortens it once it is twice as long as need be.
func (h *history) load(f *os.File) error {
	total, whole := 0, true
	in := bufio.NewReader(f)
	for {
		line, err := in.ReadBytes('\n')
		var e entry
		if json.Unmarshal(line, &e) == nil { // a line cut short by a crash is skipped
			h.session = max(h.session, e.Session+1)
			if e.Line > 0 {
				h.entries = append(h.entries, e)
			}
			total++
		}
		if err != nil {
			whole = len(line) == 0
			break
		}
	}
	if !whole { // a crash has cut the last line; what is appended must not be cut with it
		if _, err := f.WriteString("\n"); err != nil {
			return err
		}
	}
	if len(h.entries) > maxHistory {
		h.entries = slices.Clone(h.entries[len(h.entries)-maxHistory:])
	}
	if total < 2*maxHistory {
		return nil
	}
	// In place, so that other kernels go on appending to the same file.
	var buf bytes.Buffer
	for _, e := range h.entries {
		line, err := encode(e)
		if err != nil {
			return err
		}
		buf.Write(append(line, '\n'))
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.Write(buf.Bytes())
	return err
}

func (h *history) write(e entry) {
	line, err := encode(e)
	if err != nil || h.file == nil {
		return
	}
	if _, err := h.file.Write(append(line, '\n')); err != nil {
		h.file.Close()
		h.file = nil // such as a full disk: this session's history goes on in memory
	}
}

// add notes a cell that ran, and the text of its value.
func (h *history) add(line int, input, output string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := entry{h.session, line, input, output}
	h.entries = append(h.entries, e)
	h.write(e)
}

func (h *history) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.file != nil {
		h.file.Close()
		h.file = nil
	}
}

// tail is the last n cells.
func (h *history) tail(n int) []entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(last(h.entries, n))
}

func last(entries []entry, n int) []entry { return entries[max(0, len(entries)-max(0, n)):] }

// span is the cells of a session from start up to stop, which is not in it; 0
// is no end. Session 0 is this one, and -1 the one before.
func (h *history) span(session, start, stop int) []entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	if session <= 0 {
		session += h.session
	}
	var out []entry
	for _, e := range h.entries {
		if e.Session == session && e.Line >= start && (stop <= 0 || e.Line < stop) {
			out = append(out, e)
		}
	}
	return out
}

// search is the last n cells, or all if n is 0, whose text matches a pattern
// with *, ? and [...]; unique keeps the last of those that are equal.
func (h *history) search(pattern string, n int, unique bool) []entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	match := globber(pattern)
	seen := map[string]bool{}
	var out []entry
	for _, e := range slices.Backward(h.entries) {
		if !match(e.Input) || unique && seen[e.Input] {
			continue
		}
		seen[e.Input] = true
		out = append(out, e)
		if n > 0 && len(out) == n {
			break
		}
	}
	slices.Reverse(out)
	return out
}

// globber matches as SQLite's GLOB, which other kernels use, does: * also
// stands for slashes.
func globber(pattern string) func(text string) bool {
	const other = "\uE000" // a character that cells do not have
	swap := func(s string) string { return strings.ReplaceAll(s, "/", other) }
	pattern = swap(pattern)
	return func(text string) bool {
		ok, err := path.Match(pattern, swap(text))
		return ok && err == nil
	}
}

// askHistory answers history_request. Cells are kept as typed, so raw and
// transformed text are the same.
func (k *Kernel) askHistory(r *request) (string, any) {
	ask := struct {
		Output  bool   `json:"output"`
		Type    string `json:"hist_access_type"`
		Session int    `json:"session"`
		Start   int    `json:"start"`
		Stop    int    `json:"stop"`
		N       int    `json:"n"`
		Pattern string `json:"pattern"`
		Unique  bool   `json:"unique"`
	}{}
	if err := r.read(&ask); err != nil {
		return "history_reply", failed("MessageError", err.Error())
	}
	var found []entry
	switch ask.Type {
	case "tail":
		found = k.history.tail(ask.N)
	case "range":
		found = k.history.span(ask.Session, ask.Start, ask.Stop)
	case "search":
		if ask.Pattern == "" {
			ask.Pattern = "*"
		}
		found = k.history.search(ask.Pattern, ask.N, ask.Unique)
	default:
		return "history_reply", failed("ValueError", fmt.Sprintf("hist_access_type: want tail, range or search, got %q", ask.Type))
	}
	rows := [][]any{}
	for _, e := range found {
		row := []any{e.Session, e.Line, e.Input}
		if ask.Output {
			output := any(nil)
			if e.Output != "" {
				output = e.Output
			}
			row[2] = []any{e.Input, output}
		}
		rows = append(rows, row)
	}
	return "history_reply", struct {
		Status  string  `json:"status"`
		History [][]any `json:"history"`
	}{"ok", rows}
}
