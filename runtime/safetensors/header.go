// Package safetensors reads and writes the safetensors format: an 8-byte
// little-endian header length, a JSON header that names every tensor with its
// type, shape and place, and the data.
//
//	f, err := safetensors.OpenDir(dir) // model.safetensors, or shards with an index
//	info, data, err := f.Tensor("transformer.wte.weight")
//	...
//	err = f.Close()
//
// Files are mapped, never copied through Go's heap: data is a view of the file
// that is valid until Close. It is little-endian and, in files whose writer did
// not care, may start at any byte: do not rely on alignment. Shortening a
// file while it is open ends the process with SIGBUS, as with every map;
// replacing it by rename, as [Writer] does, is safe.
//
// Headers are not believed: lengths are checked against the file, offsets must
// cover the data without gap or overlap, shape times element size must equal
// the bytes claimed, and no name may come twice.
//
// Writing goes to a temporary file beside the target, which takes its name
// only when everything is on disk. [WriteDir] writes a model directory's
// weights, in shards if they are large:
//
//	infos := []safetensors.Info{{Name: "wte.weight", DType: dtype.BFloat16, Shape: []int{50257, 768}}}
//	err := safetensors.WriteDir(dir, nil, infos, 5<<30, func(name string) ([]byte, error) { ... })
//
// # Errors
//
// Every error is one line that names the file and, where one is at fault, the
// tensor. A tensor of a type that dpolab does not compute in (F8_E4M3, U8,
// BOOL, ...) is listed by Names and Info; only reading it is an error.
package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/bits"
	"sort"
	"unicode/utf8"

	"dpolab/kernels/dtype"
)

// maxHeader is the largest header the format's own implementation accepts.
const maxHeader = 100_000_000

// metadataKey is the header's one key that names no tensor.
const metadataKey = "__metadata__"

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

// Bytes is the size of the tensor's data in a file that was opened.
func (i Info) Bytes() int64 { return i.end - i.start }

var typeNames = map[string]dtype.DType{
	"F64": dtype.Float64, "F32": dtype.Float32, "BF16": dtype.BFloat16, "F16": dtype.Float16,
	"I64": dtype.Int64, "I32": dtype.Int32,
}

// otherBits are the element sizes of types that are listed but not read.
var otherBits = map[string]int64{
	"C64": 64, "U64": 64, "U32": 32, "I16": 16, "U16": 16, "I8": 8, "U8": 8, "BOOL": 8,
	"F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
	"F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}

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
	if len(header) == 0 || header[0] != '{' {
		return nil, nil, 0, fmt.Errorf("header is not a JSON object")
	}
	dataStart = 8 + int64(n)
	tensors, metadata, err = parseEntries(header, int64(len(file))-dataStart)
	return tensors, metadata, dataStart, err
}

// parseEntries walks the header token by token, so that duplicate keys are
// seen and field names match in their exact spelling.
func parseEntries(header []byte, dataLen int64) (map[string]Info, map[string]string, error) {
	dec := json.NewDecoder(bytes.NewReader(header))
	dec.UseNumber()
	tensors, metadata := map[string]Info{}, map[string]string{}
	err := eachKey(dec, func(name string) error {
		if name == metadataKey {
			err := eachKey(dec, func(key string) error {
				t, err := dec.Token()
				if err != nil {
					return err
				}
				value, ok := t.(string)
				if !ok {
					return fmt.Errorf("value of %q: want a string", key)
				}
				metadata[key] = value
				return nil
			})
			if err != nil {
				return fmt.Errorf("%s: %w", metadataKey, err)
			}
			return nil
		}
		info, err := parseEntry(dec, name, dataLen)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		tensors[name] = info
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if rest := bytes.TrimSpace(header[dec.InputOffset():]); len(rest) > 0 {
		return nil, nil, fmt.Errorf("header: %d bytes after the JSON object", len(rest))
	}
	return tensors, metadata, checkCover(tensors, dataLen)
}

// eachKey reads an object, calling visit at each value. A key that comes twice
// is an error.
func eachKey(dec *json.Decoder, visit func(key string) error) error {
	t, err := dec.Token()
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if t != json.Delim('{') {
		return fmt.Errorf("header: want a JSON object, got %.40q", fmt.Sprint(t))
	}
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return fmt.Errorf("header: %w", err)
		}
		key, ok := t.(string)
		if !ok {
			return fmt.Errorf("header: want a key, got %.40q", fmt.Sprint(t))
		}
		if seen[key] {
			return fmt.Errorf("header: %q comes twice", key)
		}
		seen[key] = true
		if err := visit(key); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("header: JSON object not closed: %w", err)
	}
	return nil
}

// parseEntry reads one tensor's place: dtype, shape and data_offsets.
func parseEntry(dec *json.Decoder, name string, dataLen int64) (Info, error) {
	var typ string
	var shape, offsets []int64
	found := map[string]bool{}
	err := eachKey(dec, func(key string) (err error) {
		found[key] = true
		switch key {
		case "dtype":
			err = dec.Decode(&typ)
		case "shape":
			shape, err = sizes(dec)
		case "data_offsets":
			offsets, err = sizes(dec)
		default:
			var ignored json.RawMessage
			err = dec.Decode(&ignored)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", key, err)
		}
		return err
	})
	if err != nil {
		return Info{}, err
	}
	if !found["dtype"] || !found["shape"] || len(offsets) != 2 {
		return Info{}, fmt.Errorf("want dtype, shape and two data_offsets")
	}
	return checkEntry(name, typ, shape, offsets[0], offsets[1], dataLen)
}

// sizes reads a list of integers that are zero or more.
func sizes(dec *json.Decoder) ([]int64, error) {
	var list []any // json.Number would accept a quoted number
	if err := dec.Decode(&list); err != nil {
		return nil, err
	}
	if list == nil {
		return nil, fmt.Errorf("want a list of integers, got null")
	}
	out := make([]int64, len(list))
	for i, item := range list {
		n, ok := item.(json.Number)
		v, err := n.Int64()
		if !ok || err != nil {
			return nil, fmt.Errorf("%.40q: want an integer below 2^63", fmt.Sprint(item))
		}
		if v < 0 {
			return nil, fmt.Errorf("negative size %d", v)
		}
		out[i] = v
	}
	return out, nil
}

func checkEntry(name, typ string, shape []int64, start, end, dataLen int64) (Info, error) {
	info := Info{Name: name, Type: typ, DType: typeNames[typ], start: start, end: end, Shape: make([]int, len(shape))}
	width := int64(info.DType.Size()) * 8
	if width == 0 {
		if width = otherBits[typ]; width == 0 {
			return info, fmt.Errorf("unknown type %q", typ)
		}
	}
	if end < start || end > dataLen {
		return info, fmt.Errorf("data_offsets [%d, %d) outside the %d bytes of data: truncated file?", start, end, dataLen)
	}
	for i, d := range shape {
		info.Shape[i] = int(d)
	}
	size, ok := product(shape, width)
	if !ok {
		return info, fmt.Errorf("shape %v of %s overflows", shape, typ)
	}
	if size%8 != 0 {
		return info, fmt.Errorf("shape %v of %s takes %d bits, not whole bytes", shape, typ, size)
	}
	if size/8 != end-start {
		return info, fmt.Errorf("shape %v of %s takes %d bytes, data_offsets give %d", shape, typ, size/8, end-start)
	}
	return info, nil
}

// product multiplies sizes, none of them negative; ok is false if any partial
// product overflows, even where a later zero would hide it.
func product(shape []int64, width int64) (total int64, ok bool) {
	total = width
	for _, d := range shape {
		high, low := bits.Mul64(uint64(total), uint64(d))
		if high != 0 || low > math.MaxInt64 {
			return 0, false
		}
		total = int64(low)
	}
	return total, true
}

// checkCover makes sure that the tensors fill the data without gap or overlap.
func checkCover(tensors map[string]Info, dataLen int64) error {
	list := make([]Info, 0, len(tensors))
	for _, t := range tensors {
		list = append(list, t)
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		if a.start != b.start {
			return a.start < b.start
		}
		if a.end != b.end {
			return a.end < b.end
		}
		return a.Name < b.Name
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
