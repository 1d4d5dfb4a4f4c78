package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"dpolab/runtime/tensor"
)

// ErrTorn is returned for a session that the machine lost while it was written.
var ErrTorn = errors.New("no complete state is left of before the machine stopped; remove the session and start again")

// Store is an open session.
type Store struct {
	dir    string
	lock   *os.File
	head   []byte
	record record
	live   int // the area that tensors are in
	arrays map[string]*arrays
	log    *os.File
	added  int64 // bytes of the log beyond the record
	boot   string
	dirty  bool // a step has begun
}

// Open attaches the session in dir, making an empty one if there is none.
func Open(dir string) (*Store, error) {
	s, err := open(dir)
	if err != nil {
		return nil, fmt.Errorf("session %s: %w", dir, err)
	}
	return s, nil
}

func open(dir string) (_ *Store, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s := &Store{dir: dir, arrays: map[string]*arrays{}, boot: bootID()}
	if s.lock, err = lock(dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	path := filepath.Join(dir, headFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := allocate(path, 2*slotSize); err != nil {
			return nil, err
		}
	}
	if s.head, err = mapFile(path, 2*slotSize); err != nil {
		return nil, err
	}
	records := readRecords(s.head)
	if err := s.choose(records); err != nil {
		return nil, err
	}
	if err := sweep(dir, records); err != nil {
		return nil, err
	}
	return s, s.openLog()
}

// sweep removes array files and logs that no record names: what a process that
// was killed had just made, or was about to remove.
func sweep(dir string, records []record) error {
	keep := map[string]bool{}
	for _, r := range records {
		keep[fmt.Sprintf("log-%d.jsonl", r.Log.Version)] = true
		for _, f := range r.Files {
			for _, path := range []string{f.layoutPath(dir), f.areaPath(dir, 0), f.areaPath(dir, 1)} {
				keep[filepath.Base(path)] = true
			}
		}
	}
	for _, pattern := range []string{"*-*-[01].bin", "*-[0-9]*.json", "log-[0-9]*.jsonl"} {
		paths, err := filepath.Glob(filepath.Join(escape(dir), pattern))
		if err != nil {
			return err
		}
		for _, p := range paths {
			if !keep[filepath.Base(p)] {
				if err := os.Remove(p); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// escape makes a path match itself in a pattern.
func escape(dir string) string {
	var b strings.Builder
	for _, r := range dir {
		if strings.ContainsRune(`*?[\`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// choose maps what the newest usable record names.
func (s *Store) choose(records []record) error {
	for i, r := range records {
		if err := s.attach(r); err != nil {
			if i == 0 {
				return err
			}
			break // an older record may name files that are gone
		}
		if r.Boot == s.boot || s.whole(r) {
			s.record, s.live = r, r.Area
			return nil
		}
		s.detach()
	}
	if len(records) > 0 {
		return ErrTorn
	}
	return nil
}

// attach maps the array files of a record.
func (s *Store) attach(r record) error {
	for _, f := range r.Files {
		a, err := openArrays(s.dir, f)
		if err != nil {
			s.detach()
			return err
		}
		a.memory = tensor.NewMemory(a.areas[r.Area])
		s.arrays[f.Name] = a
	}
	return nil
}

// whole compares the arrays with the record's checksums.
func (s *Store) whole(r record) bool {
	for _, f := range r.Files {
		if sum(s.arrays[f.Name].areas[r.Area]) != f.Sum {
			return false
		}
	}
	return true
}

func (s *Store) detach() error {
	var errs []error
	for name, a := range s.arrays {
		errs = append(errs, a.unmap())
		delete(s.arrays, name)
	}
	return errors.Join(errs...)
}

// Dir is the session's directory.
func (s *Store) Dir() string { return s.dir }

// State is what the last Commit or Note was given, nil in a new session.
func (s *Store) State() json.RawMessage { return s.record.State }

// Has reports whether the session has arrays of that name.
func (s *Store) Has(name string) bool { return s.arrays[name] != nil }

// Entries lists the arrays of a name in the order they were created in.
func (s *Store) Entries(name string) []Entry {
	var out []Entry
	if a := s.arrays[name]; a != nil {
		for _, n := range a.order {
			out = append(out, a.entries[n])
		}
	}
	return out
}

// Entry describes one array; ok is false if there is none.
func (s *Store) Entry(name, entry string) (e Entry, ok bool) {
	if a := s.arrays[name]; a != nil {
		e, ok = a.entries[entry]
	}
	return e, ok
}

// Memory is where tensors over the arrays of a name live, at their entries'
// offsets.
func (s *Store) Memory(name string) *tensor.Memory { return s.arrays[name].memory }

// Bytes is one array.
func (s *Store) Bytes(name string, e Entry) []byte {
	return s.arrays[name].areas[s.live][e.Offset : e.Offset+e.Bytes()]
}

// Create adds arrays of zeros under a name that is free. They are part of the
// session from the next Commit on.
func (s *Store) Create(name string, entries []Entry) error {
	if s.arrays[name] != nil {
		return s.wrap(fmt.Errorf("it has %s already", name))
	}
	version := 0
	for _, r := range readRecords(s.head) { // files that an older record needs stay
		for _, f := range r.Files {
			if f.Name == name {
				version = max(version, f.Version+1)
			}
		}
	}
	r := fileRecord{Name: name, Version: version}
	if err := createArrays(s.dir, r, slices.Clone(entries)); err != nil {
		return s.wrap(errors.Join(err, r.remove(s.dir)))
	}
	a, err := openArrays(s.dir, r)
	if err != nil {
		return s.wrap(err)
	}
	a.memory = tensor.NewMemory(a.areas[s.live])
	s.arrays[name] = a
	s.record.Files = append(slices.Clone(s.record.Files), r)
	return nil
}

// Drop takes the arrays of a name out, at once, with the state that is then
// true, and empties the log if asked to.
func (s *Store) Drop(name string, state any, emptyLog bool) error {
	if err := s.ready(); err != nil {
		return err
	}
	a := s.arrays[name]
	s.record.Files = slices.DeleteFunc(slices.Clone(s.record.Files), func(f fileRecord) bool { return f.Name == name })
	old := s.record.Log
	if emptyLog {
		s.record.Log = logRecord{Version: old.Version + 1}
		s.added = 0
	}
	if err := s.write(state, s.live); err != nil {
		return err
	}
	if emptyLog {
		s.log.Close()
		os.Remove(s.logPath(old.Version))
		if err := s.openLog(); err != nil {
			return s.wrap(err)
		}
	}
	if a == nil {
		return nil
	}
	delete(s.arrays, name)
	return s.wrap(errors.Join(a.unmap(), a.record.remove(s.dir)))
}

// Begin makes a copy of all arrays, to which the session goes back if the
// process ends before Commit. They may be changed when it returns.
func (s *Store) Begin() error {
	if err := s.ready(); err != nil {
		return err
	}
	for _, a := range s.arrays {
		duplicate(a.areas[1-s.live], a.areas[s.live])
	}
	if err := s.write(s.record.State, 1-s.live); err != nil {
		return err
	}
	s.dirty = true
	return nil
}

// Commit ends a step: the arrays as they are now, the log and state belong to
// each other. state is written as JSON.
func (s *Store) Commit(state any) error {
	for i, f := range s.record.Files {
		s.record.Files[i].Sum = sum(s.arrays[f.Name].areas[s.live])
	}
	if err := s.write(state, s.live); err != nil {
		return err
	}
	s.dirty = false
	return nil
}

// Note changes the state, and takes over the log, without a step.
func (s *Store) Note(state any) error {
	if err := s.ready(); err != nil {
		return err
	}
	return s.write(state, s.live)
}

// Unfinished reports a step that was begun and not committed: the next process
// goes on before it.
func (s *Store) Unfinished() bool { return s.dirty }

// ready refuses to go on after a step that failed.
func (s *Store) ready() error {
	if s.dirty {
		return s.wrap(errors.New("a step was begun and did not finish; attach the session again to go on before it"))
	}
	return nil
}

// write makes a new record: the arrays in area are complete.
func (s *Store) write(state any, area int) error {
	text, ok := state.(json.RawMessage)
	if !ok {
		var err error
		if text, err = json.Marshal(state); err != nil {
			return s.wrap(err)
		}
	}
	r := s.record
	r.Generation++
	r.Area, r.State, r.Boot = area, text, s.boot
	if area == s.live {
		r.Log.Bytes += s.added
	}
	if err := r.write(s.head); err != nil {
		return s.wrap(err)
	}
	if area == s.live {
		s.added = 0
	}
	s.record = r
	return nil
}

func (s *Store) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("session %s: %w", s.dir, err)
}

// Close lets go of the session. Tensors in it are dead from then on. What has
// not been committed is lost.
func (s *Store) Close() error { return s.wrap(s.close()) }

func (s *Store) close() error {
	errs := []error{s.detach()}
	if s.head != nil {
		errs = append(errs, unix.Munmap(s.head))
		s.head = nil
	}
	for _, f := range []*os.File{s.log, s.lock} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	s.log, s.lock = nil, nil
	return errors.Join(errs...)
}
