package jupyter

import (
	"encoding/json"
	"sync"
)

// A comm is a line of messages between the kernel and something in the front
// end. Its messages are taken while cells run.
type comm struct {
	kernel *Kernel
	id     string
	target string
	// receive takes what the other side sends.
	receive func(c *comm, r *request, data json.RawMessage)
}

// comms are the open lines, and what can be at the kernel's end of new ones.
type comms struct {
	mu      sync.Mutex
	targets map[string]func(c *comm, r *request, data json.RawMessage)
	open    map[string]*comm
}

// commContent is the content of comm messages; a request has some of its
// fields.
type commContent struct {
	ID     string          `json:"comm_id"`
	Target string          `json:"target_name,omitempty"`
	Data   json.RawMessage `json:"data"`
}

// register makes a target known that front ends can open comms to. receive is
// also called with the data that opens one.
func (k *Kernel) register(target string, receive func(c *comm, r *request, data json.RawMessage)) {
	k.comms.mu.Lock()
	defer k.comms.mu.Unlock()
	if k.comms.targets == nil {
		k.comms.targets, k.comms.open = map[string]func(*comm, *request, json.RawMessage){}, map[string]*comm{}
	}
	k.comms.targets[target] = receive
}

// send sends data to the front end's side.
func (c *comm) send(r *request, data any) {
	encoded, err := encode(data)
	if err != nil {
		c.kernel.log.Printf("comm %s: %v", c.target, err)
		return
	}
	c.kernel.publish(r.rawHeader, "comm_msg", commContent{ID: c.id, Data: encoded})
}

func (k *Kernel) commOpen(r *request) (string, any) {
	var m commContent
	if err := r.read(&m); err != nil || m.ID == "" {
		k.log.Printf("dropped a comm_open: %v", err)
		return "", nil
	}
	k.comms.mu.Lock()
	receive, known := k.comms.targets[m.Target]
	c := &comm{k, m.ID, m.Target, receive}
	if known {
		k.comms.open[m.ID] = c
	}
	k.comms.mu.Unlock()
	if !known {
		k.log.Printf("comm_open: no target %.80q", m.Target)
		k.publish(r.rawHeader, "comm_close", commContent{ID: m.ID, Data: json.RawMessage("{}")})
		return "", nil
	}
	receive(c, r, m.Data)
	return "", nil
}

func (k *Kernel) commMessage(r *request) (string, any) {
	var m commContent
	if err := r.read(&m); err != nil {
		k.log.Printf("dropped a comm_msg: %v", err)
		return "", nil
	}
	k.comms.mu.Lock()
	c := k.comms.open[m.ID]
	k.comms.mu.Unlock()
	if c == nil {
		k.log.Printf("comm_msg: no comm %.80q", m.ID)
		return "", nil
	}
	c.receive(c, r, m.Data)
	return "", nil
}

func (k *Kernel) commClose(r *request) (string, any) {
	var m commContent
	if err := r.read(&m); err != nil {
		k.log.Printf("dropped a comm_close: %v", err)
		return "", nil
	}
	k.comms.mu.Lock()
	defer k.comms.mu.Unlock()
	delete(k.comms.open, m.ID)
	return "", nil
}

// commInfo lists the open comms, of one target or of all.
func (k *Kernel) commInfo(r *request) (string, any) {
	var ask struct {
		Target string `json:"target_name"`
	}
	if err := r.read(&ask); err != nil {
		return "comm_info_reply", failed("MessageError", err.Error())
	}
	k.comms.mu.Lock()
	defer k.comms.mu.Unlock()
	open := map[string]map[string]string{}
	for id, c := range k.comms.open {
		if ask.Target == "" || ask.Target == c.target {
			open[id] = map[string]string{"target_name": c.target}
		}
	}
	return "comm_info_reply", struct {
		Status string                       `json:"status"`
		Comms  map[string]map[string]string `json:"comms"`
	}{"ok", open}
}

// SessionTarget is the comm target that tells front ends about the session, as
// a list of variables beside the notebook does. A message {"ask": "names"} is
// answered by {"names": [{"name", "kind", "type", "value", "cell"}]}, one with
// "memory" by {"memory": "..."}, also while a cell runs.
const SessionTarget = "dpolab.session"

// sessionName is one name that cells have declared.
type sessionName struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	Type  string `json:"type"`
	Value string `json:"value,omitempty"`
	Cell  string `json:"cell"`
}

func (k *Kernel) registerSession() {
	k.register(SessionTarget, func(c *comm, r *request, data json.RawMessage) {
		var m struct {
			Ask string `json:"ask"`
		}
		if err := json.Unmarshal(data, &m); err != nil {
			c.send(r, map[string]string{"error": err.Error()})
			return
		}
		switch m.Ask {
		case "": // opened, without a question
		case "names":
			c.send(r, map[string]any{"names": k.names()})
		case "memory":
			text := ""
			if k.options.Memory != nil {
				text = k.options.Memory()
			}
			c.send(r, map[string]string{"memory": text})
		default:
			c.send(r, map[string]string{"error": `ask: want "names" or "memory", got "` + m.Ask + `"`})
		}
	})
}

func (k *Kernel) names() []sessionName {
	out := []sessionName{}
	for _, e := range k.session.Names() {
		n := sessionName{e.Name, e.Kind, e.Type, "", e.Cell}
		if text, ok := k.valueText(e.Name); ok {
			n.Value = text
		}
		out = append(out, n)
	}
	return out
}

// maxValueText is how much of a value is told, in characters.
const maxValueText = 200

func (k *Kernel) valueText(name string) (string, bool) {
	v, ok := k.session.Value(name)
	if !ok {
		return "", false
	}
	obj := k.session.Scope().Object(name)
	if obj == nil {
		return "", false
	}
	text := []rune(k.session.Format(obj.Type(), v))
	if len(text) > maxValueText {
		text = append(text[:maxValueText-1], '…')
	}
	return string(text), true
}
