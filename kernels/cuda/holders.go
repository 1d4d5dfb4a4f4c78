package cuda

import (
	"cmp"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// site is where memory was asked for: return addresses, innermost first.
type site [10]uintptr

func caller() (s site) {
	runtime.Callers(4, s[:])
	return s
}

// String names the first function that is neither an operation here nor in the
// tensor package: the one whose memory it is.
func (s site) String() string {
	frames := runtime.CallersFrames(s[:])
	for {
		f, more := frames.Next()
		if f.Function != "" && !strings.Contains(f.Function, "dpolab/kernels/cuda.(") && !strings.Contains(f.Function, "dpolab/runtime/tensor.") {
			name := f.Function[strings.LastIndex(f.Function, "/")+1:]
			return fmt.Sprintf("%s (%s:%d)", name, filepath.Base(f.File), f.Line)
		}
		if !more {
			return "a tensor operation"
		}
	}
}

// shownHolders is how many holders an out-of-memory error names.
const shownHolders = 4

// exhausted is the error of a request that could not be served: what was
// asked, what is held, and by whom. The lock is held.
func (a *allocator) exhausted(asked int64, why string) error {
	var free, total int64
	if f, t, err := a.gpu.MemoryInfo(); err == nil {
		free, total = f, t
	}
	type holder struct {
		bytes  int64
		blocks int
		name   string
	}
	bySite := map[site]*holder{}
	var small holder
	for _, b := range a.live {
		h := &small
		if b.Note.site != (site{}) {
			if bySite[b.Note.site] == nil {
				bySite[b.Note.site] = &holder{name: b.Note.site.String()}
			}
			h = bySite[b.Note.site]
		}
		h.bytes += b.Note.asked
		h.blocks++
	}
	byName := map[string]*holder{}
	for _, h := range bySite {
		if have := byName[h.name]; have != nil {
			have.bytes, have.blocks = have.bytes+h.bytes, have.blocks+h.blocks
		} else {
			byName[h.name] = h
		}
	}
	var list []*holder
	for _, h := range byName {
		list = append(list, h)
	}
	slices.SortFunc(list, func(x, y *holder) int {
		return cmp.Or(cmp.Compare(y.bytes, x.bytes), strings.Compare(x.name, y.name))
	})
	var largest []string
	for _, h := range list[:min(len(list), shownHolders)] {
		largest = append(largest, fmt.Sprintf("%s in %d by %s", size(h.bytes), h.blocks, h.name))
	}
	if len(largest) == 0 {
		largest = append(largest, fmt.Sprintf("%s in %d small blocks", size(small.bytes), small.blocks))
	}
	others := a.shared.others(a.stats.ReservedBytes)
	return fmt.Errorf("cuda: %s: %s asked, %s: %s live and %s cached here, %s by other ranks of this process, %s of %s free; largest holders: %s",
		a.dev, size(asked), why, size(a.stats.LiveBytes), size(a.stats.ReservedBytes-a.stats.LiveBytes), size(others), size(free), size(total), strings.Join(largest, ", "))
}

// size writes bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d bytes", n)
}

// Usage are a device's figures over all instances in this process, in bytes.
type Usage struct {
	LiveBytes, PeakBytes, ReservedBytes int64
}

// usage counts them.
type usage struct {
	mu sync.Mutex
	u  Usage
}

var usages struct {
	sync.Mutex
	byIndex map[int]*usage
}

func usageOf(index int) *usage {
	usages.Lock()
	defer usages.Unlock()
	if usages.byIndex == nil {
		usages.byIndex = map[int]*usage{}
	}
	if usages.byIndex[index] == nil {
		usages.byIndex[index] = &usage{}
	}
	return usages.byIndex[index]
}

// DeviceUsage is what all instances together hold of a GPU.
func DeviceUsage(index int) Usage {
	s := usageOf(index)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.u
}

func (s *usage) use(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.u.LiveBytes += n
	s.u.PeakBytes = max(s.u.PeakBytes, s.u.LiveBytes)
}

func (s *usage) reserve(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.u.ReservedBytes += n
}

// others is what instances other than the one that reserves mine have reserved.
func (s *usage) others(mine int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.u.ReservedBytes - mine
}
