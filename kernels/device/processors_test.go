package device

import (
	"testing"
	"testing/fstest"
)

func TestQuota(t *testing.T) {
	const (
		v1Mounts = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n33 31 0:30 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
		v2Mounts = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
	)
	for _, c := range []struct {
		name, cgroup, mounts string
		files                map[string]string // below /sys/fs/cgroup
		want                 float64
	}{
		{"no cgroups", "", "", nil, 0},
		{"v2", "0::/a/b\n", v2Mounts, map[string]string{"a/b/cpu.max": "150000 100000\n"}, 1.5},
		{"v2 without limit", "0::/a\n", v2Mounts, map[string]string{"a/cpu.max": "max 100000\n"}, 0},
		{"v2, limit above", "0::/a/b\n", v2Mounts, map[string]string{"a/b/cpu.max": "400000 100000\n", "a/cpu.max": "200000 100000\n"}, 2},
		{"v2 in a namespace", "0::/\n", v2Mounts, map[string]string{"cpu.max": "50000 100000\n"}, 0.5},
		{"v1", "2:cpuacct:/x\n1:cpu:/a\n0::/\n", v1Mounts, map[string]string{"cpu/a/cpu.cfs_quota_us": "300000\n", "cpu/a/cpu.cfs_period_us": "100000\n"}, 3},
		{"v1 without limit", "1:cpu:/\n", v1Mounts, map[string]string{"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0},
		{"v1 in a container", "4:cpu,cpuacct:/docker/1\n", "32 31 0:29 /docker/1 /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n",
			map[string]string{"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "50000\n"}, 2},
		{"outside of what is mounted", "0::/../other\n", "31 23 0:28 /here /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", map[string]string{"cpu.max": "100000 100000\n"}, 1},
	} {
		root := fstest.MapFS{"proc/self/cgroup": {Data: []byte(c.cgroup)}, "proc/self/mountinfo": {Data: []byte(c.mounts)}}
		for name, text := range c.files {
			root["sys/fs/cgroup/"+name] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := quota(root); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestLimited(t *testing.T) {
	for _, c := range []struct {
		atStart, usable int
		variable        string
		quota           float64
		want            int
		why             string
	}{
		{8, 8, "", 0, 8, "all processors that this process may run on"},
		{2, 8, "", 0.5, 1, "a cgroup limits this process to the time of 0.5 of 8 processors"},
		{2, 8, "", 1.5, 2, "a cgroup limits this process to the time of 1.5 of 8 processors"},
		{8, 8, "", 16, 8, "all processors that this process may run on"},
		{3, 8, "3", 1, 3, "GOMAXPROCS=3"},
		{8, 8, "many", 0, 8, "all processors that this process may run on"},
	} {
		if n, why := limited(c.atStart, c.usable, c.variable, c.quota); n != c.want || why != c.why {
			t.Errorf("%+v: %d, %q", c, n, why)
		}
	}
	if n, why := Processors(); n < 1 || why == "" {
		t.Errorf("here: %d, %q", n, why)
	}
}
