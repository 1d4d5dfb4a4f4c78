// Package safetensors reads and writes the safetensors format: an 8-byte
// header length, a JSON header that names every tensor with its type, shape
// and place, and the data.
//
//	f, err := safetensors.OpenDir(dir) // model.safetensors, or shards with an index
//	info, data, err := f.Tensor("transformer.wte.weight")
//
// Files are mapped, never copied through Go's heap: data is a view of the file
// that is valid until Close. Headers are not believed: lengths are checked
// against the file, offsets must cover the data without gap or overlap, and
// shape times element size must equal the bytes claimed.
//
// Writing goes to a temporary file beside the target, which takes its name
// only when everything is on disk.
//
// # Errors
//
// Every error names the file and, where one is at fault, the tensor.
package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"sort"
	"unicode/utf8"

	"dpolab/kernels/dtype"
)

// maxHeader is the largest header the format's own implementation accepts.
const maxHeader = 100_000_000

// Info describes one tensor of a file.
type Info struct {
	Name  string
	DType dtype.DType // Invalid for a type that is listed but cannot be read
	Shape []int
	// Type is the format's name for the type: "F32", "BF16", "F8_E4M3".
	Type       string
	start, end int64 // bytes, from the start of the data
}

// Len is the number of elements.
func (i Info) Len() int {
	n := 1
	for _, d := range i.Shape {
		n *= d
	}
	return n
}

var typeNames = map[string]dtype.DType{"F64": dtype.Float64, "F32": dtype.Float32, "BF16": dtype.BFloat16, "F16": dtype.Float16, "I64": dtype.Int64, "I32": dtype.Int32}

// otherSizes are the sizes of types that are listed but not read.
var otherSizes = map[string]int64{"U64": 8, "U32": 4, "I16": 2, "U16": 2, "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}

func typeName(dt dtype.DType) string {
	for n, d := range typeNames {
		if d == dt {
			return n
		}
	}
	return ""
}

// parseHeader reads and checks the header of a whole file.
func parseHeader(file []byte) (tensors map[string]Info, metadata map[string]string, dataStart int64, err error) {
	if len(file) < 8 {
		return nil, nil, 0, fmt.Errorf("truncated: %d bytes, too short for a header length", len(file))
	}
	n := binary.LittleEndian.Uint64(file)
	if n > maxHeader {
		return nil, nil, 0, fmt.Errorf("header of %d bytes, more than the %d allowed: not a safetensors file?", n, maxHeader)
	}
	if int64(n) > int64(len(file))-8 {
		return nil, nil, 0, fmt.Errorf("truncated: header of %d bytes in a file of %d", n, len(file))
	}
	header := file[8 : 8+n]
	if !utf8.Valid(header) {
		return nil, nil, 0, fmt.Errorf("header is not UTF-8")
	}
	dataStart = 8 + int64(n)
	tensors, metadata, err = parseEntries(header, int64(len(file))-dataStart)
	return tensors, metadata, dataStart, err
}

// parseEntries walks the header token by token, so that duplicate keys are
// seen.
func parseEntries(header []byte, dataLen int64) (map[string]Info, map[string]string, error) {
	dec := json.NewDecoder(bytes.NewReader(header))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, nil, fmt.Errorf("header is not a JSON object")
	}
	tensors, metadata := map[string]Info{}, map[string]string{}
	seenMetadata := false
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, nil, fmt.Errorf("header: %w", err)
		}
		name := t.(string)
		if name == "__metadata__" {
			if seenMetadata {
				return nil, nil, fmt.Errorf("header: __metadata__ twice")
			}
			seenMetadata = true
			if err := dec.Decode(&metadata); err != nil {
				return nil, nil, fmt.Errorf("header: __metadata__: want an object of strings: %w", err)
			}
			continue
		}
		if _, twice := tensors[name]; twice {
			return nil, nil, fmt.Errorf("tensor %q twice in the header", name)
		}
		var raw struct {
			DType   string   `json:"dtype"`
			Shape   *[]int64 `json:"shape"`
			Offsets []int64  `json:"data_offsets"`
		}
		if err := dec.Decode(&raw); err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		if raw.Shape == nil || len(raw.Offsets) != 2 {
			return nil, nil, fmt.Errorf("tensor %q: want dtype, shape and two data_offsets", name)
		}
		info, err := checkEntry(name, raw.DType, *raw.Shape, raw.Offsets[0], raw.Offsets[1], dataLen)
		if err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		tensors[name] = info
	}
	if t, err := dec.Token(); err != nil || t != json.Delim('}') {
		return nil, nil, fmt.Errorf("header: JSON object not closed")
	}
	if rest := bytes.TrimSpace(header[dec.InputOffset():]); len(rest) > 0 {
		return nil, nil, fmt.Errorf("header: %d bytes after the JSON object", len(rest))
	}
	return tensors, metadata, checkCover(tensors, dataLen)
}

func checkEntry(name, typ string, shape []int64, start, end, dataLen int64) (Info, error) {
	info := Info{Name: name, Type: typ, DType: typeNames[typ], start: start, end: end}
	size := int64(info.DType.Size())
	if size == 0 {
		if size = otherSizes[typ]; size == 0 {
			return info, fmt.Errorf("unknown type %q", typ)
		}
	}
	if start < 0 || end < start || end > dataLen {
		return info, fmt.Errorf("data_offsets [%d, %d) outside the %d bytes of data: truncated file?", start, end, dataLen)
	}
	count := int64(1)
	for _, d := range shape {
		if d < 0 {
			return info, fmt.Errorf("negative size in shape %v", shape)
		}
		if d > 0 && count > (1<<62)/d {
			return info, fmt.Errorf("shape %v overflows", shape)
		}
		count *= d
		info.Shape = append(info.Shape, int(d))
	}
	if count > (1<<62)/size || count*size != end-start {
		return info, fmt.Errorf("shape %v of %s takes %d bytes, data_offsets give %d", shape, typ, count*size, end-start)
	}
	return info, nil
}

// checkCover makes sure that the tensors fill the data without gap or overlap.
func checkCover(tensors map[string]Info, dataLen int64) error {
	list := make([]Info, 0, len(tensors))
	for _, t := range tensors {
		list = append(list, t)
	}
	sort.Slice(list, func(i, j int) bool {
		if list[i].start != list[j].start {
			return list[i].start < list[j].start
		}
		return list[i].end < list[j].end
	})
	at := int64(0)
	for _, t := range list {
		if t.start != at {
			return fmt.Errorf("tensor %q starts at byte %d of the data, want %d: gap or overlap", t.Name, t.start, at)
		}
		at = t.end
	}
	if at != dataLen {
		return fmt.Errorf("tensors end at byte %d of the data, the file at %d", at, dataLen)
	}
	return nil
}
