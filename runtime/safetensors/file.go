package safetensors

import (
	"encoding/json"
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
	if st.Size() < 8 {
		return nil, fmt.Errorf("safetensors: %s: truncated: %d bytes, too short for a header length", path, st.Size())
	}
	mapped, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("safetensors: map %s: %w", path, err)
	}
	tensors, metadata, start, err := parseHeader(mapped)
	if err != nil {
		unix.Munmap(mapped)
		return nil, fmt.Errorf("safetensors: %s: %w", path, err)
	}
	return &File{path: path, tensors: tensors, metadata: metadata, mapped: mapped, data: mapped[start:]}, nil
}

// OpenDir opens a model directory's weights: model.safetensors, or the shards
// that model.safetensors.index.json lists.
func OpenDir(dir string) (*File, error) {
	index := filepath.Join(dir, "model.safetensors.index.json")
	text, err := os.ReadFile(index)
	if errors.Is(err, os.ErrNotExist) {
		return Open(filepath.Join(dir, "model.safetensors"))
	}
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	var raw struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", index, err)
	}
	if len(raw.WeightMap) == 0 {
		return nil, fmt.Errorf("safetensors: %s: no weight_map", index)
	}
	joined := &File{path: dir, tensors: map[string]Info{}, shards: map[string]*File{}}
	byName := map[string]*File{}
	for tensor, name := range raw.WeightMap {
		shard := byName[name]
		if shard == nil {
			if filepath.Base(name) != name {
				joined.Close()
				return nil, fmt.Errorf("safetensors: %s: shard %q is not a plain file name", index, name)
			}
			if shard, err = Open(filepath.Join(dir, name)); err != nil {
				joined.Close()
				return nil, err
			}
			byName[name] = shard
			joined.open = append(joined.open, shard)
		}
		info, ok := shard.tensors[tensor]
		if !ok {
			joined.Close()
			return nil, fmt.Errorf("safetensors: %s: the index places tensor %q in %s, which lacks it", dir, tensor, name)
		}
		joined.tensors[tensor], joined.shards[tensor] = info, shard
	}
	if len(joined.open) > 0 {
		joined.metadata = joined.open[0].metadata
	}
	return joined, nil
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

// Metadata returns the header's free-form strings.
func (f *File) Metadata() map[string]string { return f.metadata }

// Info describes a tensor; ok is false if there is none of that name.
func (f *File) Info(name string) (info Info, ok bool) {
	info, ok = f.tensors[name]
	return info, ok
}

// Tensor returns a tensor's description and its bytes, which are a view of the
// file and must not be used after Close.
func (f *File) Tensor(name string) (Info, []byte, error) {
	if f.shards != nil {
		if s := f.shards[name]; s != nil {
			return s.Tensor(name)
		}
		return Info{}, nil, fmt.Errorf("safetensors: %s: no tensor %q", f.path, name)
	}
	info, ok := f.tensors[name]
	if !ok {
		return Info{}, nil, fmt.Errorf("safetensors: %s: no tensor %q", f.path, name)
	}
	if info.DType.Size() == 0 {
		return info, nil, fmt.Errorf("safetensors: %s: tensor %q has type %s, which is not read; convert it to F32, BF16 or F16", f.path, name, info.Type)
	}
	return info, f.data[info.start:info.end], nil
}

// Close unmaps the file; tensors' bytes must not be used any more.
func (f *File) Close() error {
	var errs []error
	for _, s := range f.open {
		errs = append(errs, s.Close())
	}
	f.open = nil
	if f.mapped != nil {
		errs = append(errs, unix.Munmap(f.mapped))
		f.mapped, f.data = nil, nil
	}
	return errors.Join(errs...)
}
