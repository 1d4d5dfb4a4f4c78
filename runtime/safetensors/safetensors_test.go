package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
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
		"empty":              {nil, "too short"},
		"short":              {[]byte("1234567"), "too short"},
		"long header":        {file("{"+one+"}", 8)[:20], "truncated: header"},
		"huge header":        {binary.LittleEndian.AppendUint64(nil, 1<<40), "more than"},
		"not JSON":           {file("hello", 0), "not a JSON object"},
		"not UTF-8":          {file("{\"\xff\":1}", 0), "not UTF-8"},
		"unclosed":           {file("{"+one, 8), "not closed"},
		"leading space":      {file(" {"+one+"}", 8), "not a JSON object"},
		"empty header":       {file("", 0), "not a JSON object"},
		"trailing":           {file("{"+one+"} x", 8), "after the JSON object"},
		"truncated data":     {file("{"+one+"}", 7), "truncated file"},
		"extra data":         {file("{"+one+"}", 9), "the file at 9"},
		"lying shape":        {file(`{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`, 8), "takes 12 bytes"},
		"overflowing shape":  {file(`{"x":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}`, 8), "overflows"},
		"negative shape":     {file(`{"x":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}`, 8), "negative size"},
		"backward offsets":   {file(`{"x":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}`, 8), "outside"},
		"duplicate":          {file("{"+one+","+one+"}", 8), "twice"},
		"overlap":            {file("{"+one+`,"y":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12), "gap or overlap"},
		"gap":                {file("{"+one+`,"y":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}}`, 16), "gap or overlap"},
		"unknown type":       {file(`{"x":{"dtype":"Q4","shape":[2],"data_offsets":[0,8]}}`, 8), `unknown type "Q4"`},
		"missing shape":      {file(`{"x":{"dtype":"F32","data_offsets":[0,8]}}`, 8), "want dtype, shape"},
		"bad metadata":       {file(`{"__metadata__":{"a":1}}`, 0), "want a string"},
		"bad metadata kind":  {file(`{"__metadata__":[]}`, 0), "want a JSON object"},
		"metadata twice":     {file(`{"__metadata__":{"a":"b","a":"c"}}`, 0), "twice"},
		"field twice":        {file(`{"x":{"dtype":"F32","dtype":"I32","shape":[2],"data_offsets":[0,8]}}`, 8), "twice"},
		"field in capitals":  {file(`{"x":{"DType":"F32","shape":[2],"data_offsets":[0,8]}}`, 8), "want dtype, shape"},
		"three offsets":      {file(`{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}`, 8), "two data_offsets"},
		"null shape":         {file(`{"x":{"dtype":"F32","shape":null,"data_offsets":[0,8]}}`, 8), "got null"},
		"fraction":           {file(`{"x":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}`, 8), "want an integer"},
		"quoted size":        {file(`{"x":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}}`, 8), "want an integer"},
		"offset past int64":  {file(`{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,9223372036854775808]}}`, 8), "below 2^63"},
		"hidden overflow":    {file(`{"x":{"dtype":"F32","shape":[4611686018427387904,4,0],"data_offsets":[0,0]}}`, 0), "overflows"},
		"half a byte":        {file(`{"x":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}}`, 1), "not whole bytes"},
		"entry no object":    {file(`{"x":5}`, 0), "want a JSON object"},
		"entry of two lines": {file(`{"x":"5\n6"}`, 0), `want a JSON object, got "5\n6"`},
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
	for want, infos := range map[string][]Info{
		"cannot write type":    {{Name: "x"}},
		"cannot write type U8": {{Name: "x", Type: "U8", Shape: []int{1}}},
		"negative size":        {{Name: "x", DType: dtype.Float32, Shape: []int{-1}}},
		"overflows":            {{Name: "x", DType: dtype.Float32, Shape: []int{1 << 40, 1 << 40}}},
		"twice":                {{Name: "x", DType: dtype.Float32}, {Name: "x", DType: dtype.Float32}},
		"cannot be a tensor's": {{Name: "__metadata__", DType: dtype.Float32}},
		`"\xff" cannot`:        {{Name: "\xff", DType: dtype.Float32}},
	} {
		if _, err := Create(path, nil, infos); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%v: error %v, want %q and the path", infos, err, want)
		}
	}
}

// TestEmptyTensors: one without elements may be written or passed over.
func TestEmptyTensors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	infos := []Info{{Name: "e", DType: dtype.Float32, Shape: []int{0}}, {Name: "f", DType: dtype.Float32, Shape: []int{2, 0}}, {Name: "x", DType: dtype.Int32}}
	for _, order := range [][]string{{"e", "f", "x"}, {"x"}, {"f", "x"}} {
		w, err := Create(path, nil, infos)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range order {
			if err := w.Write(name, make([]byte, map[string]int{"x": 4}[name])); err != nil {
				t.Error(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAfterClose(t *testing.T) {
	f, err := Open("testdata/types.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), f.Close()); err != nil {
		t.Error(err)
	}
	if _, _, err := f.Tensor("scalar"); err == nil || !strings.Contains(err.Error(), "after Close") {
		t.Errorf("got %v", err)
	}
}

// TestWriteDir writes a directory whole, in shards, and whole again, and wants
// each time all of the tensors and none of the files before.
func TestWriteDir(t *testing.T) {
	dir := t.TempDir()
	var infos []Info
	for _, n := range []string{"c", "a", "d", "b"} {
		infos = append(infos, Info{Name: n, DType: dtype.Float32, Shape: []int{2}})
	}
	content := func(name string) ([]byte, error) { return []byte(strings.Repeat(name, 8)), nil }
	for _, c := range []struct {
		most  int64
		files string
	}{
		{0, "model.safetensors"},
		{16, "model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json"},
		{17, "model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json"},
		{1, "model-00001-of-00004.safetensors model-00002-of-00004.safetensors model-00003-of-00004.safetensors model-00004-of-00004.safetensors model.safetensors.index.json"},
		{32, "model.safetensors"},
	} {
		if err := WriteDir(dir, nil, infos, c.most, content); err != nil {
			t.Fatal(err)
		}
		var files []string
		list, _ := os.ReadDir(dir)
		for _, e := range list {
			files = append(files, e.Name())
		}
		if got := strings.Join(files, " "); got != c.files {
			t.Errorf("limit %d: %s, want %s", c.most, got, c.files)
		}
		f, err := OpenDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(f.Names(), ""); got != "abcd" || f.Metadata()["format"] != "pt" {
			t.Errorf("limit %d: names %s, metadata %v", c.most, got, f.Metadata())
		}
		for _, n := range f.Names() {
			want, _ := content(n)
			if _, got, err := f.Tensor(n); err != nil || !bytes.Equal(got, want) {
				t.Errorf("limit %d: %s: %q %v", c.most, n, got, err)
			}
		}
		f.Close()
	}
	stop := errors.New("stop")
	if err := WriteDir(dir, nil, infos, 16, func(string) ([]byte, error) { return nil, stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	if f, err := OpenDir(dir); err != nil {
		t.Errorf("a failed write took the old weights along: %v", err)
	} else {
		f.Close()
	}
}

func TestOpenDirErrors(t *testing.T) {
	empty, pickles := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(pickles, "pytorch_model.bin"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		empty:                          "holds neither",
		pickles:                        "pickles",
		filepath.Join(empty, "absent"): "no such file",
		"testdata/types.safetensors":   "not a directory",
	} {
		if _, err := OpenDir(dir); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v, want %q", dir, err, want)
		}
	}
	if _, err := Open(empty); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("opened a directory: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(file(`{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8))
	f.Add(file(`{"__metadata__":{"a":"b"},"y":{"dtype":"F4","shape":[2,0],"data_offsets":[0,0]}}  `, 0))
	for _, path := range []string{"testdata/types.safetensors", "testdata/sharded/model-00001-of-00002.safetensors"} {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		f, err := newFile("x.safetensors", data)
		if err != nil {
			if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "x.safetensors") {
				t.Errorf("error not of one line, or without the path: %q", err)
			}
			return
		}
		total := int64(0)
		for _, name := range f.Names() { // whatever is accepted must be readable
			info, data, err := f.Tensor(name)
			if err == nil && (len(data) != info.Len()*info.DType.Size() || int64(len(data)) != info.Bytes()) {
				t.Errorf("%q: %d bytes for %+v", name, len(data), info)
			}
			total += info.Bytes()
		}
		if total > int64(len(data)) {
			t.Errorf("tensors of %d bytes in a file of %d", total, len(data))
		}
	})
}
