package safetensors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"

	"dpolab/kernels/dtype"
)

// indexFile is model.safetensors.index.json.
type indexFile struct {
	Metadata  map[string]any    `json:"metadata"`
	WeightMap map[string]string `json:"weight_map"`
}

// openIndex opens every shard of an index and joins their tensors.
func openIndex(dir, index string) (joined *File, err error) {
	text, err := os.ReadFile(index)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	var raw indexFile
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, fmt.Errorf("safetensors: %s: %w", index, err)
	}
	if len(raw.WeightMap) == 0 {
		return nil, fmt.Errorf("safetensors: %s: no weight_map", index)
	}
	joined = &File{path: dir, tensors: map[string]Info{}, shards: map[string]*File{}}
	defer func() {
		if err != nil {
			joined.Close()
			joined = nil
		}
	}()
	byName := map[string]*File{}
	names := make([]string, 0, len(raw.WeightMap))
	for tensor := range raw.WeightMap {
		names = append(names, tensor)
	}
	// In order of shard, so that the first problem reported is always the same.
	sort.Slice(names, func(i, j int) bool {
		a, b := raw.WeightMap[names[i]], raw.WeightMap[names[j]]
		return a < b || a == b && names[i] < names[j]
	})
	for _, tensor := range names {
		name := raw.WeightMap[tensor]
		shard := byName[name]
		if shard == nil {
			if filepath.Base(name) != name {
				return joined, fmt.Errorf("safetensors: %s: shard %q is not a plain file name", index, name)
			}
			if shard, err = Open(filepath.Join(dir, name)); err != nil {
				return joined, err
			}
			byName[name] = shard
			joined.open = append(joined.open, shard)
		}
		info, ok := shard.tensors[tensor]
		if !ok {
			return joined, fmt.Errorf("safetensors: %s: the index places tensor %q in %s, which lacks it", dir, tensor, name)
		}
		joined.tensors[tensor], joined.shards[tensor] = info, shard
	}
	joined.metadata = joined.open[0].metadata
	return joined, nil
}

// WriteDir writes a model directory's weights in transformers' layout:
// model.safetensors if everything fits into maxShardBytes (0: no limit),
// otherwise shards filled in the order of infos and an index. data is called
// once for each tensor, in that order, so no more than one needs to exist at a
// time. metadata nil means {"format": "pt"}, which transformers asks for.
//
// Every file takes its name only when complete, and weights left over from an
// earlier call are removed at the end. A crash between two shards can leave a
// directory of mixed age: where that matters, write to a new directory and
// rename it.
func WriteDir(dir string, metadata map[string]string, infos []Info, maxShardBytes int64, data func(name string) ([]byte, error)) error {
	if metadata == nil {
		metadata = map[string]string{"format": "pt"}
	}
	shards, total, err := splitShards(infos, maxShardBytes)
	if err != nil {
		return fmt.Errorf("safetensors: %s: %w", dir, err)
	}
	written := map[string]bool{}
	weightMap := map[string]string{}
	for i, shard := range shards {
		name := weightsName
		if len(shards) > 1 {
			name = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		}
		written[name] = true
		for _, info := range shard {
			if _, twice := weightMap[info.Name]; twice {
				return fmt.Errorf("safetensors: %s: tensor %q twice", dir, info.Name)
			}
			weightMap[info.Name] = name
		}
		if err := writeFile(filepath.Join(dir, name), metadata, shard, data); err != nil {
			return err
		}
	}
	if len(shards) > 1 {
		written[indexName] = true
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(indexFile{map[string]any{"total_size": total}, weightMap}); err != nil {
			return fmt.Errorf("safetensors: %s: %w", dir, err)
		}
		if err := writeAtomically(filepath.Join(dir, indexName), text.Bytes()); err != nil {
			return err
		}
	}
	return removeOthers(dir, written)
}

// splitShards cuts the list where the next tensor would not fit any more.
func splitShards(infos []Info, most int64) (shards [][]Info, total int64, err error) {
	var size int64
	shards = [][]Info{nil}
	for _, info := range infos {
		n, err := bytesOf(info)
		if err != nil {
			return nil, 0, err
		}
		last := len(shards) - 1
		if most > 0 && len(shards[last]) > 0 && size+n > most {
			shards, size, last = append(shards, nil), 0, last+1
		}
		shards[last] = append(shards[last], info)
		size, total = size+n, total+n
	}
	return shards, total, nil
}

// bytesOf is the size of a tensor that is to be written.
func bytesOf(info Info) (int64, error) {
	if typeName(info.DType) == "" {
		name := info.DType.String()
		if info.DType == dtype.Invalid && info.Type != "" {
			name = info.Type
		}
		return 0, fmt.Errorf("tensor %q: cannot write type %s", info.Name, name)
	}
	shape := make([]int64, len(info.Shape))
	for i, d := range info.Shape {
		if d < 0 {
			return 0, fmt.Errorf("tensor %q: negative size in shape %v", info.Name, info.Shape)
		}
		shape[i] = int64(d)
	}
	n, ok := product(shape, int64(info.DType.Size()))
	if !ok {
		return 0, fmt.Errorf("tensor %q: shape %v overflows", info.Name, info.Shape)
	}
	return n, nil
}

func writeFile(path string, metadata map[string]string, infos []Info, data func(string) ([]byte, error)) error {
	w, err := Create(path, metadata, infos)
	if err != nil {
		return err
	}
	for _, info := range infos {
		bytes, err := data(info.Name)
		if err == nil {
			err = w.Write(info.Name, bytes)
		}
		if err != nil {
			w.Abort()
			return err
		}
	}
	return w.Close()
}

// removeOthers deletes weights that are not among those just written, so that
// nothing opens them by mistake.
func removeOthers(dir string, written map[string]bool) error {
	old, err := filepath.Glob(filepath.Join(dir, "model-*-of-*.safetensors"))
	if err != nil {
		return fmt.Errorf("safetensors: %s: %w", dir, err)
	}
	for _, path := range append(old, filepath.Join(dir, weightsName), filepath.Join(dir, indexName)) {
		if written[filepath.Base(path)] {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("safetensors: %w", err)
		}
	}
	return nil
}
