package safetensors

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"

	"golang.org/x/sys/unix"
)

// File is one open safetensors file, or several that an index joins.
type File struct {
	path     string
	tensors  map[string]Info
	metadata map[string]string
	mapped   []byte
	data     []byte           // mapped, from the start of the data
	shards   map[string]*File // by tensor, when joined
	open     []*File
	closed   bool
}

// Open maps one file and checks its header.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	if st.IsDir() {
		return nil, fmt.Errorf("safetensors: %s is a directory", path)
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("safetensors: %s is not a regular file", path)
	}
	if st.Size() < 8 {
		return nil, fmt.Errorf("safetensors: %s: truncated: %d bytes, too short for a header length", path, st.Size())
	}
	mapped, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("safetensors: map %s: %w", path, err)
	}
	opened, err := newFile(path, mapped)
	if err != nil {
		unix.Munmap(mapped)
		return nil, err
	}
	opened.mapped = mapped
	return opened, nil
}

// newFile reads the header of a whole file in memory.
func newFile(path string, content []byte) (*File, error) {
	tensors, metadata, start, err := parseHeader(content)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", path, err)
	}
	return &File{path: path, tensors: tensors, metadata: metadata, data: content[start:]}, nil
}

// Names lists the tensors, sorted.
func (f *File) Names() []string {
	names := make([]string, 0, len(f.tensors))
	for n := range f.tensors {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Metadata returns the header's free-form strings; of several files, the first
// shard's.
func (f *File) Metadata() map[string]string { return f.metadata }

// Info describes a tensor; ok is false if there is none of that name.
func (f *File) Info(name string) (info Info, ok bool) {
	info, ok = f.tensors[name]
	return info, ok
}

// Tensor returns a tensor's description and its bytes, which are a view of the
// file and must not be used after Close, nor written to.
func (f *File) Tensor(name string) (Info, []byte, error) {
	if f.closed {
		return Info{}, nil, fmt.Errorf("safetensors: %s: tensor %q asked for after Close", f.path, name)
	}
	info, ok := f.tensors[name]
	if !ok {
		return Info{}, nil, fmt.Errorf("safetensors: %s: no tensor %q", f.path, name)
	}
	if f.shards != nil {
		return f.shards[name].Tensor(name)
	}
	if info.DType.Size() == 0 {
		return info, nil, fmt.Errorf("safetensors: %s: tensor %q has type %s, which is not read; convert it to F32, BF16 or F16", f.path, name, info.Type)
	}
	return info, f.data[info.start:info.end:info.end], nil
}

// Close unmaps the file; tensors' bytes must not be used any more. A second
// Close does nothing.
func (f *File) Close() error {
	f.closed = true
	var errs []error
	for _, s := range f.open {
		errs = append(errs, s.Close())
	}
	f.open = nil
	if f.mapped != nil {
		if err := unix.Munmap(f.mapped); err != nil {
			errs = append(errs, fmt.Errorf("safetensors: unmap %s: %w", f.path, err))
		}
		f.mapped, f.data = nil, nil
	}
	return errors.Join(errs...)
}

// The names that transformers gives a model directory's weights.
const (
	weightsName = "model.safetensors"
	indexName   = "model.safetensors.index.json"
)

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// OpenDir opens a model directory's weights: model.safetensors if it is there,
// as transformers prefers it, else the shards that
// model.safetensors.index.json lists.
func OpenDir(dir string) (*File, error) {
	single, index := filepath.Join(dir, weightsName), filepath.Join(dir, indexName)
	if exists(single) {
		return Open(single)
	}
	if exists(index) {
		return openIndex(dir, index)
	}
	if st, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	} else if !st.IsDir() {
		return nil, fmt.Errorf("safetensors: %s is not a directory", dir)
	}
	if exists(filepath.Join(dir, "pytorch_model.bin")) || exists(filepath.Join(dir, "pytorch_model.bin.index.json")) {
		return nil, fmt.Errorf("safetensors: %s holds PyTorch pickles only; save it with save_pretrained(safe_serialization=True)", dir)
	}
	return nil, fmt.Errorf("safetensors: %s holds neither %s nor %s", dir, weightsName, indexName)
}
