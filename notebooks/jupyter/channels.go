package jupyter

import (
	"time"

	"dpolab/notebooks/jupyter/internal/zmtp"
)

// channels are the five sockets of a kernel.
type channels struct {
	shell, control, stdin, iopub, heartbeat *zmtp.Socket
}

// openChannels listens where the connection says. Messages may arrive before it
// returns.
func openChannels(c Connection, shell, control, stdin, iopub, heartbeat zmtp.Handler) (*channels, error) {
	ch := &channels{}
	// The front end asks on shell first, and wants to hear the answer's status:
	// iopub opens before it.
	for _, open := range []struct {
		socket  **zmtp.Socket
		kind    zmtp.Kind
		port    int
		handler zmtp.Handler
	}{
		{&ch.heartbeat, zmtp.Rep, c.HeartbeatPort, heartbeat},
		{&ch.iopub, zmtp.XPub, c.IOPubPort, iopub},
		{&ch.stdin, zmtp.Router, c.StdinPort, stdin},
		{&ch.control, zmtp.Router, c.ControlPort, control},
		{&ch.shell, zmtp.Router, c.ShellPort, shell},
	} {
		address, err := c.address(open.port)
		if err == nil {
			*open.socket, err = zmtp.Listen(open.kind, address, open.handler)
		}
		if err != nil {
			ch.close(0)
			return nil, err
		}
	}
	return ch, nil
}

// close ends all connections once what was sent has arrived, or the time has
// passed.
func (ch *channels) close(linger time.Duration) {
	done := make(chan struct{}, 5)
	n := 0
	for _, s := range []*zmtp.Socket{ch.shell, ch.control, ch.stdin, ch.iopub, ch.heartbeat} {
		if s == nil {
			continue
		}
		n++
		go func() {
			s.Close(linger)
			done <- struct{}{}
		}()
	}
	for range n {
		<-done
	}
}
