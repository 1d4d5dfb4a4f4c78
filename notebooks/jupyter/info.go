package jupyter

import (
	"fmt"
	"runtime"
	"strings"
)

// info says what the kernel is and what it can do.
func (k *Kernel) info(*request) (string, any) {
	type link struct {
		Text string `json:"text"`
		URL  string `json:"url"`
	}
	version := strings.TrimPrefix(runtime.Version(), "go")
	return "kernel_info_reply", struct {
		Status                string            `json:"status"`
		Protocol              string            `json:"protocol_version"`
		Implementation        string            `json:"implementation"`
		ImplementationVersion string            `json:"implementation_version"`
		Language              map[string]string `json:"language_info"`
		Banner                string            `json:"banner"`
		Debugger              bool              `json:"debugger"`
		Links                 []link            `json:"help_links"`
		Features              []string          `json:"supported_features"`
	}{
		Status: "ok", Protocol: protocolVersion, Implementation: "dpolab", ImplementationVersion: k.options.Version,
		Language: map[string]string{
			"name": "go", "version": version, "mimetype": "text/x-go", "file_extension": ".go",
			"pygments_lexer": "go", "codemirror_mode": "go", "nbconvert_exporter": "script",
		},
		Banner: fmt.Sprintf("dpolab %s: Go cells with dpo, gonum and the standard library (Go %s). %%help lists commands, ?NAME describes a name.", k.options.Version, version),
		Links: []link{
			{"The Go language", "https://go.dev/ref/spec"}, {"The Go standard library", "https://pkg.go.dev/std"}, {"gonum", "https://pkg.go.dev/gonum.org/v1/gonum"},
		},
		Features: []string{},
	}
}

// connect tells the ports, which old front ends ask for.
func (k *Kernel) connect(*request) (string, any) {
	c := k.options.Connection
	return "connect_reply", map[string]any{
		"status": "ok", "shell_port": c.ShellPort, "iopub_port": c.IOPubPort, "stdin_port": c.StdinPort, "hb_port": c.HeartbeatPort, "control_port": c.ControlPort,
	}
}
