package session_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	_ "dpolab/kernels/cpu"
	"dpolab/kernels/device"
	"dpolab/kernels/dtype"
	"dpolab/runtime/session"
	"dpolab/runtime/tensor"
)

var entries = []session.Entry{{Name: "a", DType: dtype.Float32, Shape: []int{3, 5}}, {Name: "b", DType: dtype.Float32, Shape: []int{1 << 21}}}

func attach(t *testing.T, dir string) *session.Store {
	t.Helper()
	s, err := session.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// fill writes v to every byte of the arrays.
func fill(s *session.Store, v byte) {
	for _, e := range s.Entries("weights") {
		b := s.Bytes("weights", e)
		for i := range b {
			b[i] = v
		}
	}
}

// check wants the arrays, the state and the log of step v.
func check(t *testing.T, s *session.Store, v int) {
	t.Helper()
	if got := string(s.State()); got != fmt.Sprint(v) {
		t.Errorf("state %s, want %d", got, v)
	}
	for _, e := range s.Entries("weights") {
		if b := s.Bytes("weights", e); bytes.Count(b, []byte{byte(v)}) != len(b) {
			t.Errorf("%s is not %d throughout", e.Name, v)
		}
	}
	log, err := s.Log()
	if err != nil {
		t.Fatal(err)
	}
	want := ""
	for i := 1; i <= v; i++ {
		want += fmt.Sprintf("step %d\n", i)
	}
	if string(log) != want {
		t.Errorf("log %q, want %q", log, want)
	}
}

// step is one whole step, stopping short of the given part of it.
func step(s *session.Store, v int, until string) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	if until == "start" {
		return
	}
	must(s.Begin())
	if until == "begun" {
		return
	}
	if until == "half" {
		b := s.Bytes("weights", s.Entries("weights")[1])
		for i := range b[:len(b)/2] {
			b[i] = 0xee
		}
		return
	}
	fill(s, byte(v))
	if until == "changed" {
		return
	}
	must(s.Append(fmt.Appendf(nil, "step %d", v)))
	if until == "logged" {
		return
	}
	must(s.Commit(v))
}

func create(t *testing.T, dir string) *session.Store {
	t.Helper()
	s := attach(t, dir)
	if s.State() != nil || s.Has("weights") {
		t.Fatal("a new session is not empty")
	}
	if err := s.Create("weights", entries); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(0); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStepsFollowEachOther(t *testing.T) {
	dir := t.TempDir()
	s := create(t, dir)
	for v := 1; v <= 5; v++ {
		step(s, v, "")
		if v == 3 {
			if err := s.Note(v); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = attach(t, dir)
		check(t, s, v)
	}
}

// TestChild is the process that TestKill kills: it attaches the session, goes
// as far as it is told and waits.
func TestChild(t *testing.T) {
	dir, until := os.Getenv("DPOLAB_TEST_SESSION"), os.Getenv("DPOLAB_TEST_UNTIL")
	if dir == "" {
		return
	}
	s, err := session.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	v := 0
	fmt.Sscan(string(s.State()), &v)
	step(s, v+1, until)
	fmt.Println("ready")
	select {}
}

// TestKill kills a process with SIGKILL in every phase of a step: the next one
// finds the last complete step.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	create(t, dir).Close()
	v := 0
	for _, until := range []string{"half", "", "half", "begun", "changed", "", "logged", "start", "half", "", "logged"} {
		c := exec.Command(os.Args[0], "-test.run", "^TestChild$", "-test.v")
		c.Env = append(os.Environ(), "DPOLAB_TEST_SESSION="+dir, "DPOLAB_TEST_UNTIL="+until)
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lines, ready := bufio.NewScanner(out), false
		for !ready && lines.Scan() {
			ready = strings.HasSuffix(lines.Text(), "ready")
		}
		if !ready {
			t.Fatalf("%q: the process did not get that far", until)
		}
		if _, err := session.Open(dir); !errors.Is(err, session.ErrAttached) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", c.Process.Pid)) {
			t.Errorf("while it is attached: %v", err)
		}
		c.Process.Signal(syscall.SIGKILL)
		c.Wait()
		if until == "" {
			v++
		}
		s := attach(t, dir)
		check(t, s, v)
		s.Close()
	}
	if v != 3 {
		t.Fatalf("%d steps", v)
	}
}

func TestTensorsLiveInTheFiles(t *testing.T) {
	dir := t.TempDir()
	s := create(t, dir)
	dev, err := tensor.Open(device.Device{Type: device.CPU}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	e, _ := s.Entry("weights", "a")
	x := s.Memory("weights").Tensor(dev, e.DType, e.Offset+5*4, 2, 5).Keep() // rows 1 and 2
	if err := s.Begin(); err != nil {
		t.Fatal(err)
	}
	dev.Backend().Fill(x.Array(), 7)
	live := dev.MemoryStats().LiveBytes
	if err := s.Commit(1); err != nil {
		t.Fatal(err)
	}
	x.Release()
	if dev.MemoryStats().LiveBytes != live {
		t.Error("the device gave back memory that is not its own")
	}
	y := s.Memory("weights").Tensor(dev, e.DType, e.Offset, 3, 5).Keep()
	if got := fmt.Sprint(y.Float32s()); got != "[0 0 0 0 0 7 7 7 7 7 7 7 7 7 7]" {
		t.Errorf("rows are %s", got)
	}
	s.Close()
	if err := tensor.Try(func() { y.Float32s() }); err == nil || !strings.Contains(err.Error(), "released") {
		t.Errorf("a tensor of a closed session: %v", err)
	}
	if s := y.String(); !strings.Contains(s, "no memory") {
		t.Errorf("printed as %s", s)
	}
}

func TestDropAndRestart(t *testing.T) {
	dir := t.TempDir()
	s := create(t, dir)
	step(s, 1, "")
	for range 3 {
		if err := s.Create("moments", entries[:1]); err != nil {
			t.Fatal(err)
		}
		if err := s.Create("moments", entries); err == nil {
			t.Error("the same name twice")
		}
		if err := s.Commit(1); err != nil {
			t.Fatal(err)
		}
		if err := s.Drop("moments", 0, true); err != nil {
			t.Fatal(err)
		}
		if log, err := s.Log(); len(log) != 0 || err != nil || s.Has("moments") {
			t.Errorf("after dropping: log %q, %v", log, err)
		}
		s.Close()
		s = attach(t, dir)
	}
	left, err := filepath.Glob(filepath.Join(dir, "moments*"))
	if err != nil || len(left) > 0 {
		t.Errorf("files left: %v", left)
	}
}

func TestFilesThatNoRecordNamesGo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "odd [name]*")
	s := create(t, dir)
	step(s, 1, "")
	if err := s.Create("moments", entries[:1]); err != nil { // and killed before Commit
		t.Fatal(err)
	}
	s.Close()
	if err := os.Mkdir(filepath.Join(dir, "model"), 0o755); err != nil {
		t.Fatal(err)
	}
	s = attach(t, dir)
	check(t, s, 1)
	var names []string
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != "head lock log-0.jsonl model weights-0-0.bin weights-0-1.bin weights-0.json" {
		t.Errorf("files are %s", got)
	}
}

func TestUnfinishedStepStopsTheProcess(t *testing.T) {
	s := create(t, t.TempDir())
	step(s, 1, "changed")
	for name, err := range map[string]error{"Begin": s.Begin(), "Note": s.Note(5), "Drop": s.Drop("weights", 0, false)} {
		if err == nil || !strings.Contains(err.Error(), "did not finish") {
			t.Errorf("%s after a step that failed: %v", name, err)
		}
	}
	if err := s.Commit(string(make([]byte, 1<<20))); err == nil {
		t.Error("a state beyond what a record holds")
	}
}

// TestMachineFailure changes what is on disk, and the boot that it belongs to,
// as a power cut would.
func TestMachineFailure(t *testing.T) {
	area := func(dir string, n int) string { return filepath.Join(dir, fmt.Sprintf("weights-0-%d.bin", n)) }
	for name, c := range map[string]struct {
		damage func(dir string)
		want   int // step found, -1 for none
	}{
		"nothing lost":          {func(string) {}, 2},
		"the newest area torn":  {func(dir string) { spoil(t, area(dir, 0), 100) }, 1},
		"the older area torn":   {func(dir string) { spoil(t, area(dir, 1), 100) }, 2},
		"both torn":             {func(dir string) { spoil(t, area(dir, 0), 0); spoil(t, area(dir, 1), 0) }, -1},
		"the newest record cut": {func(dir string) { spoilRecord(t, dir) }, 1},
	} {
		dir := t.TempDir()
		s := create(t, dir)
		step(s, 1, "")
		step(s, 2, "")
		s.Close()
		session.Reboot(t, dir)
		c.damage(dir)
		s, err := session.Open(dir)
		if c.want < 0 {
			if !errors.Is(err, session.ErrTorn) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := string(s.State()); got != fmt.Sprint(c.want) {
			t.Errorf("%s: step %s, want %d", name, got, c.want)
		}
		if b := s.Bytes("weights", s.Entries("weights")[1]); bytes.Count(b, []byte{byte(c.want)}) != len(b) {
			t.Errorf("%s: the arrays are not those of step %d", name, c.want)
		}
		s.Close()
	}
}

func spoil(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("torn"), at); err != nil {
		t.Fatal(err)
	}
}

// spoilRecord damages the newest record: after creation and two steps of two
// records each that is number 5.
func spoilRecord(t *testing.T, dir string) { spoil(t, filepath.Join(dir, "head"), 256<<10+40) }

func TestListAndRemove(t *testing.T) {
	root := filepath.Join(t.TempDir(), "sessions")
	if list, err := session.List(root); len(list) != 0 || err != nil {
		t.Errorf("without a root: %v, %v", list, err)
	}
	b := create(t, filepath.Join(root, "b"))
	a := create(t, filepath.Join(root, "a"))
	step(a, 1, "")
	a.Close()
	os.MkdirAll(filepath.Join(root, "something else"), 0o755)
	list, err := session.List(root)
	if err != nil || len(list) != 2 || list[0].Name != "a" || list[0].Attached || !list[1].Attached || string(list[0].State) != "1" || list[0].Bytes < 4<<21 {
		t.Fatalf("listed as %+v, %v", list, err)
	}
	if err := session.Remove(filepath.Join(root, "b")); !errors.Is(err, session.ErrAttached) || !strings.Contains(err.Error(), "this process") {
		t.Errorf("removed while attached: %v", err)
	}
	b.Close()
	if err := session.Remove(filepath.Join(root, "b")); err != nil {
		t.Error(err)
	}
	if err := session.Remove(filepath.Join(root, "b")); err == nil {
		t.Error("removed twice")
	}
	if list, _ := session.List(root); len(list) != 1 {
		t.Errorf("%d left", len(list))
	}
	t.Setenv("XDG_STATE_HOME", root)
	if got, err := session.DefaultRoot(); err != nil || got != filepath.Join(root, "dpolab", "sessions") {
		t.Errorf("root %s, %v", got, err)
	}
}

func TestBadFiles(t *testing.T) {
	for name, damage := range map[string]func(dir string) error{
		"an area cut short": func(dir string) error { return os.Truncate(filepath.Join(dir, "weights-0-0.bin"), 10) },
		"an area missing":   func(dir string) error { return os.Remove(filepath.Join(dir, "weights-0-1.bin")) },
		"no layout":         func(dir string) error { return os.Remove(filepath.Join(dir, "weights-0.json")) },
		"a foreign layout": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "weights-0.json"), []byte(`[{"name":"a","dtype":99,"shape":[1]}]`), 0o644)
		},
		"a head cut short":  func(dir string) error { return os.Truncate(filepath.Join(dir, "head"), 10) },
		"the log cut short": func(dir string) error { return os.Truncate(filepath.Join(dir, "log-0.jsonl"), 1) },
	} {
		dir := t.TempDir()
		s := create(t, dir)
		step(s, 1, "")
		s.Close()
		if err := damage(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := session.Open(dir); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := session.Open(file); err == nil {
		t.Error("a file as a session")
	}
}
