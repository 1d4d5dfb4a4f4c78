package safetensors

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
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
// DType and Shape of each info count.
func Create(path string, metadata map[string]string, infos []Info) (*Writer, error) {
	header := map[string]any{}
	if len(metadata) > 0 {
		header["__metadata__"] = metadata
	}
	at := int64(0)
	list := append([]Info(nil), infos...)
	for i, info := range list {
		name := typeName(info.DType)
		if name == "" {
			return nil, fmt.Errorf("safetensors: %s: tensor %q: cannot write type %s", path, info.Name, info.DType)
		}
		if _, twice := header[info.Name]; twice {
			return nil, fmt.Errorf("safetensors: %s: tensor %q twice", path, info.Name)
		}
		shape := info.Shape
		if shape == nil {
			shape = []int{}
		}
		list[i].start, list[i].end = at, at+int64(info.Len()*info.DType.Size())
		header[info.Name] = entry{name, shape, [2]int64{list[i].start, list[i].end}}
		at = list[i].end
	}
	text, err := json.Marshal(header)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", path, err)
	}
	for len(text)%8 != 0 { // data starts aligned
		text = append(text, ' ')
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

// Write adds bytes of the named tensor, which must be the next one in the
// announced order; a tensor may come in several pieces.
func (w *Writer) Write(name string, data []byte) error {
	w.skip()
	if w.at == len(w.infos) || w.infos[w.at].Name != name {
		want := "no more tensors"
		if w.at < len(w.infos) {
			want = fmt.Sprintf("tensor %q", w.infos[w.at].Name)
		}
		return fmt.Errorf("safetensors: %s: want %s, got %q", w.path, want, name)
	}
	info := w.infos[w.at]
	if w.done += int64(len(data)); w.done > info.end-info.start {
		return fmt.Errorf("safetensors: %s: tensor %q: more than its %d bytes", w.path, name, info.end-info.start)
	}
	if _, err := w.out.Write(data); err != nil {
		return fmt.Errorf("safetensors: write %s: %w", w.path, err)
	}
	if w.done == info.end-info.start {
		w.at, w.done = w.at+1, 0
	}
	return nil
}

// skip passes over tensors without elements.
func (w *Writer) skip() {
	for w.at < len(w.infos) && w.infos[w.at].start == w.infos[w.at].end {
		w.at++
	}
}

// Close checks that everything was written, brings it to disk and gives the
// file its name.
func (w *Writer) Close() error {
	if w.skip(); w.at != len(w.infos) {
		w.Abort()
		return fmt.Errorf("safetensors: %s: tensor %q was not written", w.path, w.infos[w.at].Name)
	}
	err := w.out.Flush()
	if err == nil {
		err = w.file.Sync()
	}
	if err == nil {
		err = w.file.Chmod(0o644)
	}
	if cerr := w.file.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(w.file.Name(), w.path)
	}
	if err != nil {
		os.Remove(w.file.Name())
		return fmt.Errorf("safetensors: write %s: %w", w.path, err)
	}
	return nil
}

// Abort removes what was written.
func (w *Writer) Abort() {
	w.file.Close()
	os.Remove(w.file.Name())
}
