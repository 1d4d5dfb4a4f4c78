package device

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// Processors is how many threads of this process can run at once, and why no
// more: the processors it may be scheduled on, fewer where its cgroup (v1 or v2),
// or one above it, may use the time of fewer, rounded up; or what the environment
// variable GOMAXPROCS says. It is the default number of threads of CPU ranks,
// all together. Go's own default follows the same limits, but never falls below
// two, and may be changed while a program runs.
func Processors() (n int, why string) { return processors() }

// atStart is Go's default, before anything changes it.
var atStart = runtime.GOMAXPROCS(0)

var processors = sync.OnceValues(func() (int, string) {
	return limited(atStart, runtime.NumCPU(), os.Getenv("GOMAXPROCS"), quota(os.DirFS("/")))
})

// limited is Processors on a machine with the given figures.
func limited(atStart, usable int, variable string, quota float64) (n int, why string) {
	if v, err := strconv.Atoi(variable); err == nil && v > 0 {
		return atStart, "GOMAXPROCS=" + variable
	}
	if n = max(1, int(math.Ceil(quota))); quota > 0 && n < usable {
		return n, fmt.Sprintf("a cgroup limits this process to the time of %.3g of %d processors", quota, usable)
	}
	return usable, "all processors that this process may run on"
}

// quota is the processor time per time that the cgroups of this process allow
// it; 0 means no limit, or no cgroups.
func quota(root fs.FS) float64 {
	least := 0.0
	for _, line := range lines(root, "proc/self/cgroup") { // hierarchy:controllers:path
		f := strings.SplitN(line, ":", 3)
		if len(f) != 3 {
			continue
		}
		v2 := f[0] == "0" && f[1] == ""
		if !v2 && !has(f[1], "cpu") {
			continue
		}
		mount, at := mountOf(root, v2)
		if mount == "" {
			continue
		}
		dir := mount
		if rest, ok := strings.CutPrefix(f[2], strings.TrimSuffix(at, "/")); ok {
			dir = path.Join(mount, path.Clean("/"+rest))
		}
		for ; len(dir) >= len(mount); dir = path.Dir(dir) { // limits of those above hold too
			if q := quotaIn(root, dir); q > 0 && (least == 0 || q < least) {
				least = q
			}
		}
	}
	return least
}

// mountOf is where the hierarchy with processor limits is mounted, as a path in
// root, and which of its directories is.
func mountOf(root fs.FS, v2 bool) (mount, at string) {
	for _, line := range lines(root, "proc/self/mountinfo") {
		own, super, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(own), strings.Fields(super)
		if !ok || len(f) < 5 || len(g) < 3 {
			continue
		}
		if v2 && g[0] == "cgroup2" || !v2 && g[0] == "cgroup" && has(g[2], "cpu") {
			return strings.TrimPrefix(f[4], "/"), f[3]
		}
	}
	return "", ""
}

// quotaIn reads one cgroup's limit, 0 if it has none.
func quotaIn(root fs.FS, dir string) float64 {
	if f := strings.Fields(strings.Join(lines(root, path.Join(dir, "cpu.max")), " ")); len(f) == 2 {
		return share(f[0], f[1])
	}
	q, p := lines(root, path.Join(dir, "cpu.cfs_quota_us")), lines(root, path.Join(dir, "cpu.cfs_period_us"))
	if len(q) == 0 || len(p) == 0 {
		return 0
	}
	return share(q[0], p[0])
}

// share divides microseconds; "max" and -1 stand for no limit.
func share(quota, period string) float64 {
	q, err := strconv.ParseFloat(quota, 64)
	p, err2 := strconv.ParseFloat(period, 64)
	if err != nil || err2 != nil || q <= 0 || p <= 0 {
		return 0
	}
	return q / p
}

// lines are a file's, none if there is no such file.
func lines(root fs.FS, name string) []string {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// has reports whether a list with commas names something.
func has(list, name string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if item == name {
			return true
		}
	}
	return false
}
