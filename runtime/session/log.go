package session

import (
	"fmt"
	"os"
	"path/filepath"
)

func (s *Store) logPath(version int) string {
	return filepath.Join(s.dir, fmt.Sprintf("log-%d.jsonl", version))
}

// openLog opens the log, without what a process wrote and did not commit.
func (s *Store) openLog() error {
	var err error
	if s.log, err = os.OpenFile(s.logPath(s.record.Log.Version), os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return err
	}
	st, err := s.log.Stat()
	if err != nil {
		return err
	}
	if st.Size() < s.record.Log.Bytes { // only the machine's failure loses what was written
		return fmt.Errorf("the log has %d bytes of %d: %w", st.Size(), s.record.Log.Bytes, ErrTorn)
	}
	return s.log.Truncate(s.record.Log.Bytes)
}

// Append adds a line to the log. It counts from the next Commit or Note on.
func (s *Store) Append(line []byte) error {
	n, err := s.log.WriteAt(append(line, '\n'), s.record.Log.Bytes+s.added)
	if err != nil {
		return s.wrap(err)
	}
	s.added += int64(n)
	return nil
}

// Log returns every line that counts.
func (s *Store) Log() ([]byte, error) {
	text := make([]byte, s.record.Log.Bytes)
	if len(text) == 0 {
		return nil, nil
	}
	if _, err := s.log.ReadAt(text, 0); err != nil {
		return nil, s.wrap(err)
	}
	return text, nil
}
