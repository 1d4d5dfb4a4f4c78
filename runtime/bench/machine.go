package bench

import (
	"bufio"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// Machine is what a figure depends on besides the program. It names the
// processor, not the computer.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory string `json:"memory"`
	System string `json:"system"`
	Commit string `json:"commit"`
}

func machine() Machine {
	m := Machine{Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, CPU: field("/proc/cpuinfo", "model name"), Memory: field("/proc/meminfo", "MemTotal")}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				m.Commit = s.Value + m.Commit
			case s.Key == "vcs.modified" && s.Value == "true":
				m.Commit += " with changes"
			}
		}
	}
	if m.Commit == "" { // built outside the checkout, or without its history
		if out, err := exec.Command("git", "describe", "--always", "--dirty= with changes", "--exclude=*").Output(); err == nil {
			m.Commit = strings.TrimSpace(string(out))
		}
	}
	if family := field("/proc/cpuinfo", "cpu family"); family != "" {
		m.CPU += ", family " + family + " model " + field("/proc/cpuinfo", "model")
	}
	return m
}

// slug is the processor's name as a file may bear it, without what only
// advertises.
func (m Machine) slug() string {
	words := strings.FieldsFunc(strings.ToLower(m.CPU), func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9') })
	words = slices.DeleteFunc(words, func(w string) bool {
		return slices.Contains([]string{"r", "tm", "cpu", "processor", "family", "model"}, w)
	})
	if len(words) == 0 {
		return "cpu"
	}
	return strings.Join(words, "-")
}

// field reads one "name : value" line of a file, "" if there is none.
func field(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if key, value, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
