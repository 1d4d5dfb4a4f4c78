package jupyter

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"
)

// A Key signs messages. It prints as nothing that could be used.
type Key string

func (Key) String() string   { return "(hidden)" }
func (Key) GoString() string { return "(hidden)" }

// Connection is a connection file: where the front end expects the kernel's
// sockets.
type Connection struct {
	Transport       string `json:"transport"` // "tcp", which is the default, or "ipc"
	IP              string `json:"ip"`        // of tcp, 127.0.0.1 by default; of ipc a path that ports complete
	ShellPort       int    `json:"shell_port"`
	ControlPort     int    `json:"control_port"`
	IOPubPort       int    `json:"iopub_port"`
	StdinPort       int    `json:"stdin_port"`
	HeartbeatPort   int    `json:"hb_port"`
	Key             Key    `json:"key"` // empty: messages are not signed
	SignatureScheme string `json:"signature_scheme"`
}

// ReadConnection reads a connection file.
func ReadConnection(path string) (Connection, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Connection{}, fmt.Errorf("connection file: %w", err)
	}
	var c Connection
	if err := json.Unmarshal(text, &c); err != nil {
		return Connection{}, fmt.Errorf("connection file %s: %w", path, err)
	}
	for name, port := range map[string]int{
		"shell_port": c.ShellPort, "control_port": c.ControlPort, "iopub_port": c.IOPubPort, "stdin_port": c.StdinPort, "hb_port": c.HeartbeatPort,
	} {
		if port <= 0 || port > 65535 {
			return Connection{}, fmt.Errorf("connection file %s: %s: want 1 to 65535, got %d", path, name, port)
		}
	}
	return c, nil
}

// address is where the socket of a port listens.
func (c Connection) address(port int) (string, error) {
	switch c.Transport {
	case "", "tcp":
		ip := c.IP
		switch ip {
		case "":
			ip = "127.0.0.1"
		case "*":
			ip = ""
		}
		return "tcp://" + net.JoinHostPort(ip, strconv.Itoa(port)), nil
	case "ipc":
		return fmt.Sprintf("ipc://%s-%d", c.IP, port), nil
	}
	return "", fmt.Errorf("connection file: transport: want tcp or ipc, got %q", c.Transport)
}
