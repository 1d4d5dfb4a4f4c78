package dpo

import (
	"fmt"
	"sort"
	"strings"

	"dpolab/stdlib/display"
)

// RankMemory are the figures of one rank's allocator, in bytes.
type RankMemory struct {
	Device   string
	Live     int64 // in use
	Peak     int64 // most that was in use
	Reserved int64 // held from the system: in use, rounding and cache
}

// MemoryReport has one entry per rank of every open device list.
type MemoryReport []RankMemory

// Memory reports what the devices hold. It is empty when no model is on a
// device.
func Memory() MemoryReport {
	session.mu.Lock()
	defer session.mu.Unlock()
	var keys []string
	for k := range session.worlds {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var out MemoryReport
	for _, k := range keys {
		w := session.worlds[k]
		devices, _, _ := strings.Cut(k, "/")
		for i := range w.Size() {
			s := w.Device(i).MemoryStats()
			out = append(out, RankMemory{fmt.Sprintf("%s rank %d", devices, i), s.LiveBytes, s.PeakBytes, s.ReservedBytes})
		}
	}
	return out
}

// Table sets the ranks side by side, with a bar for what is in use of the
// highest peak.
func (r MemoryReport) Table() *display.Table {
	most := int64(1)
	for _, m := range r {
		most = max(most, m.Peak)
	}
	t := display.NewTable("rank", "in use", "peak", "reserved", "in use of the highest peak")
	mb := func(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
	for _, m := range r {
		full := int(20*m.Live/most + 1)
		t.Row(m.Device, mb(m.Live), mb(m.Peak), mb(m.Reserved), strings.Repeat("█", min(full, 20))+strings.Repeat("░", max(20-full, 0)))
	}
	return t
}

// MIME shows the report as a notebook does.
func (r MemoryReport) MIME() map[string]string {
	if len(r) == 0 {
		return display.OfText(r.String())
	}
	return map[string]string{"text/html": r.Table().HTML(), "text/plain": r.String()}
}

// Live is what is in use on all ranks together.
func (r MemoryReport) Live() int64 {
	sum := int64(0)
	for _, m := range r {
		sum += m.Live
	}
	return sum
}

// String is a line per rank.
func (r MemoryReport) String() string {
	if len(r) == 0 {
		return "no device memory in use"
	}
	lines := make([]string, len(r))
	for i, m := range r {
		lines[i] = fmt.Sprintf("%s: %.1f MB in use, peak %.1f MB, reserved %.1f MB", m.Device, float64(m.Live)/1e6, float64(m.Peak)/1e6, float64(m.Reserved)/1e6)
	}
	return strings.Join(lines, "\n")
}
