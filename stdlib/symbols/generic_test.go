package symbols_test

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	ourcmp "dpolab/stdlib/symbols/source/cmp"
	ourerrors "dpolab/stdlib/symbols/source/errors"
	ouriter "dpolab/stdlib/symbols/source/iter"
	ourmaps "dpolab/stdlib/symbols/source/maps"
	ourrand "dpolab/stdlib/symbols/source/math/rand/v2"
	ourreflect "dpolab/stdlib/symbols/source/reflect"
	ourslices "dpolab/stdlib/symbols/source/slices"
	oursync "dpolab/stdlib/symbols/source/sync"
	ouratomic "dpolab/stdlib/symbols/source/sync/atomic"
)

// outcome renders what a call returns, or that it panics.
func outcome(call func() any) (text string) {
	defer func() {
		if recover() != nil {
			text = "panic"
		}
	}()
	return fmt.Sprintf("%#v", call())
}

type both[A, B any] struct {
	A A
	B B
}

func pair[A, B any](a A, b B) both[A, B] { return both[A, B]{a, b} }

// Our slices do what the original's do, on random slices with room behind
// them, and on wrong arguments.
func TestSlices(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	even := func(v int) bool { return v%2 == 0 }
	order := func(a, b int) int { return b - a }
	near := func(a, b int) bool { return a/2 == b/2 }
	for round := range 400 {
		random := func() []int {
			if r.IntN(10) == 0 {
				return nil
			}
			n := r.IntN(7)
			s := make([]int, n, n+r.IntN(6))
			for i := range s {
				s[i] = r.IntN(6)
			}
			return s
		}
		base, other := random(), random()
		i, j, v := r.IntN(9)-1, r.IntN(9)-1, r.IntN(6)
		// Each call gets a copy with the same room, which is compared too.
		run := func(call func(s []int) any) string {
			room := make([]int, cap(base))
			for k := range room {
				room[k] = 9
			}
			s := room[:len(base)]
			copy(s, base)
			if base == nil {
				s = nil
			}
			return outcome(func() any { return call(s) }) + fmt.Sprint(s)
		}
		for name, calls := range map[string][2]func(s []int) any{
			"Equal":      {func(s []int) any { return ourslices.Equal(s, other) }, func(s []int) any { return slices.Equal(s, other) }},
			"EqualFunc":  {func(s []int) any { return ourslices.EqualFunc(s, other, near) }, func(s []int) any { return slices.EqualFunc(s, other, near) }},
			"Compare":    {func(s []int) any { return ourslices.Compare(s, other) }, func(s []int) any { return slices.Compare(s, other) }},
			"Index":      {func(s []int) any { return ourslices.Index(s, v) }, func(s []int) any { return slices.Index(s, v) }},
			"IndexFunc":  {func(s []int) any { return ourslices.IndexFunc(s, even) }, func(s []int) any { return slices.IndexFunc(s, even) }},
			"Contains":   {func(s []int) any { return ourslices.Contains(s, v) }, func(s []int) any { return slices.Contains(s, v) }},
			"Insert":     {func(s []int) any { return ourslices.Insert(s, i, other...) }, func(s []int) any { return slices.Insert(s, i, other...) }},
			"Delete":     {func(s []int) any { return ourslices.Delete(s, i, j) }, func(s []int) any { return slices.Delete(s, i, j) }},
			"DeleteFunc": {func(s []int) any { return ourslices.DeleteFunc(s, even) }, func(s []int) any { return slices.DeleteFunc(s, even) }},
			"Replace":    {func(s []int) any { return ourslices.Replace(s, i, j, other...) }, func(s []int) any { return slices.Replace(s, i, j, other...) }},
			"Clone":      {func(s []int) any { return ourslices.Clone(s) }, func(s []int) any { return slices.Clone(s) }},
			"Compact":    {func(s []int) any { return ourslices.Compact(s) }, func(s []int) any { return slices.Compact(s) }},
			"CompactFunc": {func(s []int) any { return ourslices.CompactFunc(s, near) }, func(s []int) any {
				return slices.CompactFunc(s, near)
			}},
			"Grow": {func(s []int) any { g := ourslices.Grow(s, i); return pair(g, cap(g)-len(g) >= i) }, func(s []int) any {
				g := slices.Grow(s, i)
				return pair(g, cap(g)-len(g) >= i)
			}},
			"Clip":    {func(s []int) any { return cap(ourslices.Clip(s)) }, func(s []int) any { return cap(slices.Clip(s)) }},
			"Reverse": {func(s []int) any { ourslices.Reverse(s); return s }, func(s []int) any { slices.Reverse(s); return s }},
			"Concat":  {func(s []int) any { return ourslices.Concat(s, other, s) }, func(s []int) any { return slices.Concat(s, other, s) }},
			"Repeat":  {func(s []int) any { return ourslices.Repeat(s, i) }, func(s []int) any { return slices.Repeat(s, i) }},
			"Sort":    {func(s []int) any { ourslices.Sort(s); return s }, func(s []int) any { slices.Sort(s); return s }},
			"SortFunc": {func(s []int) any { ourslices.SortFunc(s, order); return ourslices.IsSortedFunc(s, order) }, func(s []int) any {
				slices.SortFunc(s, order)
				return slices.IsSortedFunc(s, order)
			}},
			"SortStableFunc": {func(s []int) any {
				ourslices.SortStableFunc(s, func(a, b int) int { return a/2 - b/2 })
				return s
			}, func(s []int) any { slices.SortStableFunc(s, func(a, b int) int { return a/2 - b/2 }); return s }},
			"IsSorted": {func(s []int) any { return ourslices.IsSorted(s) }, func(s []int) any { return slices.IsSorted(s) }},
			"Min":      {func(s []int) any { return ourslices.Min(s) }, func(s []int) any { return slices.Min(s) }},
			"Max":      {func(s []int) any { return ourslices.Max(s) }, func(s []int) any { return slices.Max(s) }},
			"MinFunc":  {func(s []int) any { return ourslices.MinFunc(s, order) }, func(s []int) any { return slices.MinFunc(s, order) }},
			"MaxFunc":  {func(s []int) any { return ourslices.MaxFunc(s, order) }, func(s []int) any { return slices.MaxFunc(s, order) }},
			"BinarySearch": {func(s []int) any { slices.Sort(s); return pair(ourslices.BinarySearch(s, v)) }, func(s []int) any {
				slices.Sort(s)
				return pair(slices.BinarySearch(s, v))
			}},
			"BinarySearchFunc": {func(s []int) any { slices.Sort(s); return pair(ourslices.BinarySearchFunc(s, v, minus)) }, func(s []int) any {
				slices.Sort(s)
				return pair(slices.BinarySearchFunc(s, v, minus))
			}},
			"All":      {func(s []int) any { return two(ourslices.All(s), i) }, func(s []int) any { return two(slices.All(s), i) }},
			"Backward": {func(s []int) any { return two(ourslices.Backward(s), i) }, func(s []int) any { return two(slices.Backward(s), i) }},
			"Collect":  {func(s []int) any { return ourslices.Collect(ourslices.Values(s)) }, func(s []int) any { return slices.Collect(slices.Values(s)) }},
			"Sorted":   {func(s []int) any { return ourslices.Sorted(slices.Values(s)) }, func(s []int) any { return slices.Sorted(slices.Values(s)) }},
			"SortedFunc": {func(s []int) any { return ourslices.SortedFunc(slices.Values(s), order) }, func(s []int) any {
				return slices.SortedFunc(slices.Values(s), order)
			}},
			"SortedStableFunc": {func(s []int) any { return ourslices.SortedStableFunc(slices.Values(s), order) }, func(s []int) any {
				return slices.SortedStableFunc(slices.Values(s), order)
			}},
			"AppendSeq": {func(s []int) any { return ourslices.AppendSeq(s, slices.Values(other)) }, func(s []int) any {
				return slices.AppendSeq(s, slices.Values(other))
			}},
			"Chunk": {func(s []int) any { return slices.Collect(ourslices.Chunk(s, i)) }, func(s []int) any { return slices.Collect(slices.Chunk(s, i)) }},
		} {
			if got, want := run(calls[0]), run(calls[1]); got != want {
				t.Fatalf("round %d: %s(%#v) with i=%d j=%d v=%d other=%v: %s, the original gives %s", round, name, base, i, j, v, other, got, want)
			}
		}
	}
}

func TestSortsAreStable(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 70 {
		s := make([]both[int, int], n)
		for i := range s {
			s[i] = pair(r.IntN(5), i)
		}
		byFirst := func(a, b both[int, int]) int { return a.A - b.A }
		want := slices.Clone(s)
		slices.SortStableFunc(want, byFirst)
		if got := ourslices.SortedStableFunc(slices.Values(s), byFirst); !slices.Equal(got, want) {
			t.Errorf("%d elements: %v, want %v", n, got, want)
		}
	}
	calls := 0
	ourslices.SortFunc(make([]int, 1000), func(a, b int) int { calls++; return a - b })
	if calls >= 1000 {
		t.Errorf("%d comparisons of 1000 sorted elements", calls)
	}
}

func minus(a, b int) int { return a - b }

// two collects at most n pairs, to see that an iterator stops.
func two(seq iter.Seq2[int, int], n int) []int {
	var all []int
	for i, v := range seq {
		all = append(all, i, v)
		if len(all) >= 2*n {
			break
		}
	}
	return all
}

func TestNaN(t *testing.T) {
	nan := math.NaN()
	values := []float64{2, nan, -1, math.Inf(1), nan, 0}
	ours, theirs := slices.Clone(values), slices.Clone(values)
	ourslices.Sort(ours)
	slices.Sort(theirs)
	if fmt.Sprint(ours) != fmt.Sprint(theirs) {
		t.Errorf("Sort: %v, want %v", ours, theirs)
	}
	if !ourslices.IsSorted(ours) {
		t.Error("IsSorted: false after Sort")
	}
	if m := ourslices.Max(values); !math.IsNaN(m) {
		t.Errorf("Max = %v, want NaN", m)
	}
	if m := ourslices.Min(values); !math.IsNaN(m) {
		t.Errorf("Min = %v, want NaN", m)
	}
	for _, c := range []struct{ x, y, want float64 }{{nan, nan, 0}, {nan, 1, -1}, {1, nan, 1}, {1, 2, -1}, {2, 1, 1}, {1, 1, 0}} {
		if got := ourcmp.Compare(c.x, c.y); float64(got) != c.want {
			t.Errorf("Compare(%v, %v) = %d, want %v", c.x, c.y, got, c.want)
		}
	}
	if ourcmp.Or("", "a", "b") != "a" || ourcmp.Or[int]() != 0 {
		t.Error("Or does not give the first value that is not zero")
	}
}

func TestMaps(t *testing.T) {
	m := map[string]int{"a": 1, "b": 2, "c": 3}
	if got := slices.Sorted(ourmaps.Keys(m)); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("Keys: %v", got)
	}
	if got := slices.Sorted(ourmaps.Values(m)); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("Values: %v", got)
	}
	for range ourmaps.Keys(m) {
		break
	}
	for range ourmaps.All(m) {
		break
	}
	c := ourmaps.Clone(m)
	if !maps.Equal(c, m) || !ourmaps.Equal(c, ourmaps.Collect(ourmaps.All(m))) || ourmaps.Clone(map[int]int(nil)) != nil {
		t.Errorf("Clone: %v", c)
	}
	ourmaps.DeleteFunc(c, func(_ string, v int) bool { return v > 1 })
	if !maps.Equal(c, map[string]int{"a": 1}) || ourmaps.Equal(c, m) || ourmaps.Equal(m, c) {
		t.Errorf("DeleteFunc: %v", c)
	}
	ourmaps.Copy(c, map[string]int{"z": 26})
	ourmaps.Insert(c, maps.All(map[string]int{"y": 25}))
	if !ourmaps.Equal(c, map[string]int{"a": 1, "y": 25, "z": 26}) {
		t.Errorf("Copy and Insert: %v", c)
	}
	if ourmaps.Equal(map[string]int{"a": 0}, map[string]int{"b": 0}) {
		t.Error("Equal takes a missing key for zero")
	}
	if !ourmaps.EqualFunc(c, map[string]string{"a": "1", "y": "25", "z": "26"}, func(n int, s string) bool { return fmt.Sprint(n) == s }) {
		t.Error("EqualFunc: false")
	}
}

func TestPull(t *testing.T) {
	ended := false
	next, stop := ouriter.Pull(func(yield func(int) bool) {
		defer func() { ended = true }()
		for i := 0; yield(i); i++ {
		}
	})
	for want := range 3 {
		if v, ok := next(); v != want || !ok {
			t.Errorf("next: %d %v, want %d", v, ok, want)
		}
	}
	stop()
	stop()
	if v, ok := next(); v != 0 || ok || !ended {
		t.Errorf("after stop: %d %v, ended %v", v, ok, ended)
	}
	next2, stop2 := ouriter.Pull2(ouriter.Seq2[int, string](slices.All([]string{"a"})))
	if i, s, ok := next2(); i != 0 || s != "a" || !ok {
		t.Errorf("next: %d %q %v", i, s, ok)
	}
	if i, s, ok := next2(); i != 0 || s != "" || ok {
		t.Errorf("next at the end: %d %q %v", i, s, ok)
	}
	stop2()
	broken, _ := ouriter.Pull(func(yield func(int) bool) { panic("bad") })
	if got := outcome(func() any { broken(); return nil }); got != "panic" {
		t.Errorf("next of a panicking iterator: %s", got)
	}
	if _, ok := broken(); ok {
		t.Error("next after a panic gives a value")
	}
	unused, stop3 := ouriter.Pull(func(yield func(int) bool) { t.Error("runs after stop") })
	stop3()
	unused()
}

func TestOnce(t *testing.T) {
	calls := 0
	value := oursync.OnceValue(func() int { calls++; return 7 })
	if value() != 7 || value() != 7 || calls != 1 {
		t.Errorf("OnceValue called %d times", calls)
	}
	values := oursync.OnceValues(func() (int, error) { calls++; return 8, fs.ErrExist })
	values()
	if n, err := values(); n != 8 || err != fs.ErrExist || calls != 2 {
		t.Errorf("OnceValues: %d %v, %d calls", n, err, calls)
	}
	bad := oursync.OnceValue(func() int { panic("bad") })
	for range 2 {
		if outcome(func() any { return bad() }) != "panic" {
			t.Error("OnceValue forgets a panic")
		}
	}
}

func TestPointer(t *testing.T) {
	var p ouratomic.Pointer[int]
	a, b := new(int), new(int)
	if p.Load() != nil || p.CompareAndSwap(a, b) || !p.CompareAndSwap(nil, a) || p.Swap(b) != a || p.Load() != b {
		t.Error("Pointer loses a value")
	}
	p.Store(nil)
	if p.Load() != nil {
		t.Error("Store(nil) is lost")
	}
}

type silent struct{}

func (silent) Error() string { return "silent" }

func TestAsType(t *testing.T) {
	_, missing := os.Open("no/such/file")
	for _, err := range []error{nil, missing, fmt.Errorf("wrapped: %w", missing), errors.Join(silent{}, missing), silent{}} {
		got, ok := ourerrors.AsType[*fs.PathError](err)
		want, wantOK := errors.AsType[*fs.PathError](err)
		if got != want || ok != wantOK {
			t.Errorf("AsType(%v) = %v %v, want %v %v", err, got, ok, want, wantOK)
		}
	}
}

func TestOtherGenerics(t *testing.T) {
	if got := ourreflect.TypeFor[error](); got != reflect.TypeFor[error]() {
		t.Errorf("TypeFor: %v", got)
	}
	if s, ok := ourreflect.TypeAssert[fmt.Stringer](reflect.ValueOf(new(strings.Builder))); s == nil || !ok {
		t.Error("TypeAssert: not a Stringer")
	}
	if _, ok := ourreflect.TypeAssert[string](reflect.ValueOf(1)); ok {
		t.Error("TypeAssert: int is a string")
	}
	seen := map[int8]bool{}
	for range 200 {
		seen[ourrand.N(int8(3))] = true
	}
	if len(seen) != 3 || !seen[0] || !seen[1] || !seen[2] {
		t.Errorf("N(3) gave %v", seen)
	}
	if outcome(func() any { return ourrand.N(0) }) != "panic" {
		t.Error("N(0) does not panic")
	}
}
