package safetensors

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dpolab/kernels/dtype"
)

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.safetensors")
	infos := []Info{{Name: "b", DType: dtype.BFloat16, Shape: []int{2, 3}}, {Name: "empty", DType: dtype.Float32, Shape: []int{0, 4}}, {Name: "a", DType: dtype.Float32, Shape: nil}}
	w, err := Create(path, map[string]string{"format": "pt"}, infos)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{"b": []byte("twelve bytes"), "a": []byte("four"), "empty": nil}
	for _, part := range []struct{ name, data string }{{"b", "twelve"}, {"b", " bytes"}, {"a", "four"}} {
		if err := w.Write(part.name, []byte(part.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if strings.Join(f.Names(), " ") != "a b empty" || f.Metadata()["format"] != "pt" {
		t.Errorf("names %v, metadata %v", f.Names(), f.Metadata())
	}
	for name, data := range want {
		info, got, err := f.Tensor(name)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if name == "b" && (info.DType != dtype.BFloat16 || info.Len() != 6) {
			t.Errorf("b: %+v", info)
		}
	}
}

// file builds a file from header text and a number of data bytes.
func file(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

func TestBadFiles(t *testing.T) {
	one := `"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}`
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"empty":             {nil, "too short"},
		"short":             {[]byte("1234567"), "too short"},
		"long header":       {file("{"+one+"}", 8)[:20], "truncated: header"},
		"huge header":       {binary.LittleEndian.AppendUint64(nil, 1<<40), "more than"},
		"not JSON":          {file("hello", 0), "not a JSON object"},
		"not UTF-8":         {file("{\"\xff\":1}", 0), "not UTF-8"},
		"unclosed":          {file("{"+one, 8), "not closed"},
		"trailing":          {file("{"+one+"} x", 8), "after the JSON object"},
		"truncated data":    {file("{"+one+"}", 7), "truncated file"},
		"extra data":        {file("{"+one+"}", 9), "the file at 9"},
		"lying shape":       {file(`{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`, 8), "takes 12 bytes"},
		"overflowing shape": {file(`{"x":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}`, 8), "overflows"},
		"negative shape":    {file(`{"x":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}`, 8), "negative size"},
		"backward offsets":  {file(`{"x":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}`, 8), "outside"},
		"duplicate":         {file("{"+one+","+one+"}", 8), "twice"},
		"overlap":           {file("{"+one+`,"y":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12), "gap or overlap"},
		"gap":               {file("{"+one+`,"y":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}}`, 16), "gap or overlap"},
		"unknown type":      {file(`{"x":{"dtype":"Q4","shape":[2],"data_offsets":[0,8]}}`, 8), `unknown type "Q4"`},
		"missing shape":     {file(`{"x":{"dtype":"F32","data_offsets":[0,8]}}`, 8), "want dtype, shape"},
		"bad metadata":      {file(`{"__metadata__":{"a":1}}`, 0), "object of strings"},
	} {
		path := filepath.Join(t.TempDir(), "x.safetensors")
		if err := os.WriteFile(path, c.file, 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		if err == nil {
			f.Close()
			t.Errorf("%s: accepted", name)
		} else if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q and the path", name, err, c.want)
		}
	}
}

func TestUnreadableType(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	os.WriteFile(path, file(`{"x":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}`, 2), 0o644)
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, _, err := f.Tensor("x"); err == nil || !strings.Contains(err.Error(), "F8_E4M3") {
		t.Errorf("got %v", err)
	}
}

func TestShards(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{"a", "b"} {
		w, err := Create(filepath.Join(dir, n+".safetensors"), nil, []Info{{Name: n, DType: dtype.Float32, Shape: []int{1}}})
		if err != nil {
			t.Fatal(err)
		}
		w.Write(n, []byte("data"))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	index := filepath.Join(dir, "model.safetensors.index.json")
	os.WriteFile(index, []byte(`{"weight_map":{"a":"a.safetensors","b":"b.safetensors"}}`), 0o644)
	f, err := OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, data, err := f.Tensor("b"); err != nil || string(data) != "data" {
		t.Errorf("%q %v", data, err)
	}
	f.Close()
	for text, want := range map[string]string{
		`{"weight_map":{"c":"a.safetensors"}}`:      "lacks it",
		`{"weight_map":{"a":"../a.safetensors"}}`:   "not a plain file name",
		`{"weight_map":{"a":"absent.safetensors"}}`: "no such file",
		`{}`:  "no weight_map",
		`{"w`: "unexpected end",
	} {
		os.WriteFile(index, []byte(text), 0o644)
		if _, err := OpenDir(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestWriterChecks(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	w, err := Create(path, nil, []Info{{Name: "x", DType: dtype.Float32, Shape: []int{1}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write("y", nil); err == nil {
		t.Error("wrote a tensor out of turn")
	}
	if err := w.Write("x", make([]byte, 5)); err == nil {
		t.Error("wrote too much")
	}
	if err := w.Close(); err == nil {
		t.Error("closed an incomplete file")
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left %v behind", left)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(file(`{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8))
	f.Add(file(`{"__metadata__":{"a":"b"}}`, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		tensors, _, start, err := parseHeader(data)
		if err != nil {
			return
		}
		for _, info := range tensors { // whatever is accepted must be readable
			_ = data[start+info.start : start+info.end]
		}
	})
}
