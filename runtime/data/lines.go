package data

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// maxLine is the longest line that is read.
const maxLine = 64 << 20

// eachRow decodes every line of a source's files into a row and calls visit
// with its place, which names the file as seen from path. The error of a bad
// line says which it is.
func eachRow[R any](path string, split Split, visit func(row R, place string) error) error {
	files, err := find(path, split)
	if err != nil {
		return err
	}
	for _, file := range files {
		name, err := filepath.Rel(path, file)
		if err != nil || name == "." {
			name = filepath.Base(file)
		}
		if err := eachRowOf(file, filepath.ToSlash(name), visit); err != nil {
			return err
		}
	}
	return nil
}

func eachRowOf[R any](path, name string, visit func(row R, place string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(f)
		if err != nil {
			return fmt.Errorf("data: %s: not gzip: %w", path, err)
		}
		defer z.Close()
		in = z
	}
	scan := bufio.NewScanner(in)
	scan.Buffer(make([]byte, 1<<16), maxLine)
	line := 0
	for scan.Scan() {
		line++
		if isBlank(scan.Bytes()) {
			continue
		}
		row, err := decodeRow[R](scan.Bytes())
		if err == nil {
			err = visit(row, fmt.Sprintf("%s:%d", name, line))
		}
		if err != nil {
			return fmt.Errorf("data: %s:%d: %w", path, line, err)
		}
	}
	if err := scan.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("longer than %d bytes", maxLine)
		}
		return fmt.Errorf("data: %s:%d: %w", path, line+1, err)
	}
	return nil
}

func isBlank(line []byte) bool {
	for _, c := range line {
		if c != ' ' && c != '\t' && c != '\r' {
			return false
		}
	}
	return true
}

// decodeRow reads one line, and says in the words of the file, not of Go, what
// is wrong with it.
func decodeRow[R any](line []byte) (row R, err error) {
	if !utf8.Valid(line) {
		return row, errors.New("not valid UTF-8")
	}
	err = json.Unmarshal(line, &row)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return row, nil
	case errors.As(err, &wrong) && wrong.Field != "":
		return row, fmt.Errorf("field %s: want a %s, got a %s", wrong.Field, kind(wrong.Type.Kind().String()), wrong.Value)
	case errors.As(err, &wrong):
		return row, fmt.Errorf("want a JSON object, got a %s", wrong.Value)
	}
	return row, fmt.Errorf("not JSON: %w", err)
}

// kind is JSON's name for a Go kind.
func kind(goKind string) string {
	switch goKind {
	case "int", "float64":
		return "number"
	case "slice":
		return "list"
	case "struct":
		return "object"
	}
	return goKind
}
