package jupyter

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"dpolab/notebooks/jupyter/internal/zmtp"
)

// protocolVersion is that of the messages.
const protocolVersion = "5.5"

// delimiter stands between routing frames and the signature.
var delimiter = []byte("<IDS|MSG>")

// header says what a message is.
type header struct {
	ID       string `json:"msg_id"`
	Session  string `json:"session"`
	Username string `json:"username"`
	Date     string `json:"date"`
	Type     string `json:"msg_type"`
	Version  string `json:"version"`
}

// message is one that was received. The header's own bytes are kept: whoever is
// answered finds in them what this kernel does not know of.
type message struct {
	routing   [][]byte
	header    header
	rawHeader json.RawMessage
	parent    header
	metadata  json.RawMessage
	content   json.RawMessage
	buffers   [][]byte
}

// parse checks and reads the frames of a message.
func parse(frames zmtp.Message, s *signer) (*message, error) {
	at := 0
	for at < len(frames) && !bytes.Equal(frames[at], delimiter) {
		at++
	}
	if at == len(frames) {
		return nil, errors.New("message without delimiter")
	}
	m := &message{routing: frames[:at]}
	frames = frames[at+1:]
	if len(frames) < 5 {
		return nil, fmt.Errorf("message of %d frames behind the delimiter, want 5 at least", len(frames))
	}
	if err := s.check(frames[0], frames[1:5]); err != nil {
		return nil, err
	}
	m.rawHeader, m.metadata, m.content, m.buffers = json.RawMessage(frames[1]), json.RawMessage(frames[3]), json.RawMessage(frames[4]), frames[5:]
	if err := json.Unmarshal(m.rawHeader, &m.header); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if m.header.Type == "" {
		return nil, errors.New("header without msg_type")
	}
	if err := json.Unmarshal(frames[2], &m.parent); err != nil {
		return nil, fmt.Errorf("parent header: %w", err)
	}
	if !json.Valid(m.metadata) {
		return nil, errors.New("metadata is not JSON")
	}
	return m, nil
}

// read decodes the content of a message.
func (m *message) read(into any) error {
	if err := json.Unmarshal(m.content, into); err != nil {
		return fmt.Errorf("%s: content: %w", m.header.Type, err)
	}
	return nil
}

// writer makes messages of one kernel.
type writer struct {
	signer  *signer
	session string
}

// outgoing is a message to be sent.
type outgoing struct {
	id       string // made up if empty
	kind     string
	parent   json.RawMessage // nil if nothing asked for it
	metadata any             // nil if there is none
	content  any
	buffers  [][]byte
}

// frames is the message as it is sent behind the prefix, which is routing or a
// topic.
func (w *writer) frames(prefix [][]byte, o outgoing) (zmtp.Message, error) {
	if o.id == "" {
		o.id = rand.Text()
	}
	parts := make([][]byte, 4)
	var err error
	if parts[0], err = encode(header{
		ID: o.id, Session: w.session, Username: "kernel", Date: time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"),
		Type: o.kind, Version: protocolVersion,
	}); err != nil {
		return nil, err
	}
	if parts[1] = o.parent; parts[1] == nil {
		parts[1] = []byte("{}")
	}
	parts[2] = []byte("{}")
	if o.metadata != nil {
		if parts[2], err = encode(o.metadata); err != nil {
			return nil, err
		}
	}
	if parts[3], err = encode(o.content); err != nil {
		return nil, err
	}
	out := make(zmtp.Message, 0, len(prefix)+6+len(o.buffers))
	out = append(append(append(out, prefix...), delimiter, w.signer.sign(parts)), parts...)
	return append(out, o.buffers...), nil
}

// encode is json.Marshal that leaves <, > and & alone.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}
