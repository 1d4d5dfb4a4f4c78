package safetensors

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"unicode/utf8"
)

// Writer writes one file, tensor by tensor in the order announced.
type Writer struct {
	path  string
	file  *os.File
	out   *bufio.Writer
	infos []Info
	at    int   // tensor being written
	done  int64 // bytes of it written
}

// entry is a tensor's place in the header.
type entry struct {
	DType   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// Create starts a file that will hold the given tensors in this order; Name,
// DType and Shape of each info count. Follow it by Write for each tensor, then
// Close; Abort gives up and leaves no trace.
func Create(path string, metadata map[string]string, infos []Info) (*Writer, error) {
	text, list, err := headerFor(metadata, infos)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	w := &Writer{path: path, file: f, out: bufio.NewWriterSize(f, 1<<20), infos: list}
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(text)))
	if _, err := w.out.Write(append(n[:], text...)); err != nil {
		w.Abort()
		return nil, fmt.Errorf("safetensors: write %s: %w", path, err)
	}
	return w, nil
}

// headerFor builds the JSON header and gives each tensor its place.
func headerFor(metadata map[string]string, infos []Info) ([]byte, []Info, error) {
	header := map[string]any{}
	if len(metadata) > 0 {
		for k, v := range metadata {
			if !utf8.ValidString(k) || !utf8.ValidString(v) {
				return nil, nil, fmt.Errorf("metadata %q is not UTF-8", k)
			}
		}
		header[metadataKey] = metadata
	}
	at := int64(0)
	list := append([]Info(nil), infos...)
	for i, info := range list {
		n, err := bytesOf(info)
		if err != nil {
			return nil, nil, err
		}
		if at+n < at {
			return nil, nil, fmt.Errorf("tensor %q: file larger than 2^63 bytes", info.Name)
		}
		if !utf8.ValidString(info.Name) || info.Name == metadataKey {
			return nil, nil, fmt.Errorf("%q cannot be a tensor's name", info.Name)
		}
		if _, twice := header[info.Name]; twice {
			return nil, nil, fmt.Errorf("tensor %q twice", info.Name)
		}
		shape := info.Shape
		if shape == nil {
			shape = []int{}
		}
		list[i].start, list[i].end = at, at+n
		header[info.Name] = entry{typeName(info.DType), shape, [2]int64{at, at + n}}
		at += n
	}
	text, err := json.Marshal(header)
	if err != nil {
		return nil, nil, err
	}
	for len(text)%8 != 0 { // data starts aligned
		text = append(text, ' ')
	}
	if len(text) > maxHeader {
		return nil, nil, fmt.Errorf("header of %d bytes, more than the %d allowed", len(text), maxHeader)
	}
	return text, list, nil
}

// Write adds bytes of the named tensor, which must be the next one in the
// announced order; a tensor may come in several pieces. One without elements
// may be written as nothing or left out.
func (w *Writer) Write(name string, data []byte) error {
	for w.empty() && w.infos[w.at].Name != name {
		w.at++
	}
	if w.at == len(w.infos) || w.infos[w.at].Name != name {
		want := "no more tensors"
		if w.at < len(w.infos) {
			want = fmt.Sprintf("tensor %q", w.infos[w.at].Name)
		}
		return fmt.Errorf("safetensors: %s: want %s, got %q", w.path, want, name)
	}
	info := w.infos[w.at]
	if w.done+int64(len(data)) > info.Bytes() {
		return fmt.Errorf("safetensors: %s: tensor %q: %d bytes, want %d", w.path, name, w.done+int64(len(data)), info.Bytes())
	}
	if _, err := w.out.Write(data); err != nil {
		return fmt.Errorf("safetensors: write %s: %w", w.path, err)
	}
	if w.done += int64(len(data)); w.done == info.Bytes() {
		w.at, w.done = w.at+1, 0
	}
	return nil
}

// empty reports whether the next tensor has no elements.
func (w *Writer) empty() bool {
	return w.at < len(w.infos) && w.infos[w.at].Bytes() == 0
}

// Close checks that everything was written, brings it to disk and gives the
// file its name.
func (w *Writer) Close() error {
	for w.empty() {
		w.at++
	}
	if w.at != len(w.infos) {
		w.Abort()
		info := w.infos[w.at]
		return fmt.Errorf("safetensors: %s: tensor %q: %d bytes written, want %d", w.path, info.Name, w.done, info.Bytes())
	}
	if err := w.out.Flush(); err != nil {
		w.Abort()
		return fmt.Errorf("safetensors: write %s: %w", w.path, err)
	}
	return publish(w.file, w.path)
}

// Abort removes what was written. After Close it does nothing.
func (w *Writer) Abort() {
	w.file.Close()
	os.Remove(w.file.Name())
}

// writeAtomically writes a small file as a Writer does.
func writeAtomically(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("safetensors: %w", err)
	}
	if _, err := f.Write(text); err != nil {
		f.Close()
		os.Remove(f.Name())
		return fmt.Errorf("safetensors: write %s: %w", path, err)
	}
	return publish(f, path)
}

// publish brings a temporary file to disk, closes it and renames it to path.
func publish(f *os.File, path string) error {
	err := f.Sync()
	if err == nil {
		err = f.Chmod(0o644)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("safetensors: write %s: %w", path, err)
	}
	// The new name is safe only when the directory is on disk too; file
	// systems that cannot sync a directory lose nothing by it.
	if d, err := os.Open(filepath.Dir(path)); err == nil {
		d.Sync()
		d.Close()
	}
	return nil
}
