package jupyter

import (
	"encoding/json"
	"sync"

	"dpolab/notebooks/jupyter/internal/zmtp"
)

type status struct {
	State string `json:"execution_state"`
}

// states tells front ends what the kernel is at. They show the state that came
// last, so what is answered while a cell runs must not leave them with idle.
type states struct {
	mu   sync.Mutex
	cell json.RawMessage // the request of the cell that runs
}

func (s *states) begin(k *Kernel, r *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.header.Type == "execute_request" {
		s.cell = r.rawHeader
	}
	k.publish(r.rawHeader, "status", status{"busy"})
}

func (s *states) end(k *Kernel, r *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.header.Type == "execute_request" {
		s.cell = nil
	}
	k.publish(r.rawHeader, "status", status{"idle"})
	if s.cell != nil {
		k.publish(s.cell, "status", status{"busy"})
	}
}

// statusOK is the content of replies that say no more.
var statusOK = struct {
	Status string `json:"status"`
}{"ok"}

// failure is the content of a reply to what could not be done.
type failure struct {
	Status    string   `json:"status"`
	Name      string   `json:"ename"`
	Value     string   `json:"evalue"`
	Traceback []string `json:"traceback"`
}

func failed(name, value string) failure {
	return failure{"error", name, value, []string{name + ": " + value}}
}

// replyType is the type of the reply to a request.
func replyType(request string) string {
	const suffix = "_request"
	if n := len(request) - len(suffix); n > 0 && request[n:] == suffix {
		return request[:n] + "_reply"
	}
	return ""
}

// publish tells all front ends.
func (k *Kernel) publish(parent json.RawMessage, kind string, content any) {
	k.send(outgoing{kind: kind, parent: parent, content: content}, false)
}

func (k *Kernel) send(o outgoing, droppable bool) {
	frames, err := k.writer.frames([][]byte{[]byte("kernel." + k.writer.session + "." + o.kind)}, o)
	if err != nil {
		k.log.Printf("%s: %v", o.kind, err)
		return
	}
	k.channels.iopub.Publish(frames, droppable)
}

// welcome tells a front end that it will hear everything from now on.
func (k *Kernel) welcome(p *zmtp.Peer, topic string) {
	frames, err := k.writer.frames([][]byte{[]byte(topic)}, outgoing{kind: "iopub_welcome", content: struct {
		Subscription string `json:"subscription"`
	}{topic}})
	if err != nil {
		k.log.Printf("iopub_welcome: %v", err)
		return
	}
	p.Send(frames, false)
}

// Limits of output on its way to front ends, in bytes: of one stream message,
// and of what slow readers may have waiting before a cell's output waits.
const (
	streamPart  = 256 << 10
	streamAhead = 4 << 20
)

// sendStream publishes what a cell has written; it waits for slow readers.
func (k *Kernel) sendStream(e *execution, name, text string) {
	select {
	case <-k.open:
	default:
		k.log.Print(text) // nobody could have subscribed yet
		return
	}
	if e != nil && e.silent {
		return
	}
	k.channels.iopub.Ready(streamAhead, k.stop)
	k.send(outgoing{kind: "stream", parent: e.parent(), content: struct {
		Name string `json:"name"`
		Text string `json:"text"`
	}{name, text}}, true)
}
