package zmtp

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// greetingSize is that of ZMTP 3: signature, version, mechanism, role, filler.
const greetingSize = 64

const mechanism = "NULL"

func greeting() []byte {
	g := make([]byte, greetingSize)
	g[0], g[9] = 0xff, 0x7f // the signature
	g[10], g[11] = 3, 0     // the version
	copy(g[12:32], mechanism)
	return g
}

// handshake greets a peer that has connected to a socket of the kind given, and
// returns the identity it asks for.
func handshake(r *bufio.Reader, w io.Writer, kind Kind) (identity string, err error) {
	if _, err := w.Write(greeting()); err != nil {
		return "", err
	}
	var g [greetingSize]byte
	if _, err := io.ReadFull(r, g[:1]); err != nil {
		return "", err
	}
	if g[0] != 0xff {
		return "", errors.New("zmtp: the peer does not speak ZMTP")
	}
	if _, err := io.ReadFull(r, g[1:]); err != nil {
		return "", cut(err)
	}
	if g[9]&1 == 0 || g[10] < 3 {
		return "", fmt.Errorf("zmtp: the peer speaks version %d, want 3", g[10])
	}
	if m := strings.TrimRight(string(g[12:32]), "\x00"); m != mechanism {
		return "", fmt.Errorf("zmtp: the peer wants mechanism %q, want %s", m, mechanism)
	}
	ready := property([]byte("\x05READY"), "Socket-Type", string(kind))
	if kind == Router {
		ready = property(ready, "Identity", "")
	}
	if _, err := w.Write(append(appendHead(nil, command, len(ready)), ready...)); err != nil {
		return "", err
	}
	flags, body, err := readFrame(r, 64<<10)
	if err != nil {
		return "", err
	}
	if flags&command == 0 || !strings.HasPrefix(string(body), "\x05READY") {
		return "", fmt.Errorf("zmtp: handshake: want READY, got %.40q", body)
	}
	properties, err := readProperties(body[len("\x05READY"):])
	if err != nil {
		return "", err
	}
	if peer := properties["socket-type"]; !kind.takes(peer) {
		return "", fmt.Errorf("zmtp: a %s cannot talk to a %s", peer, kind)
	}
	return properties["identity"], nil
}

// property appends a name and a value as READY carries them.
func property(buf []byte, name, value string) []byte {
	buf = append(append(buf, byte(len(name))), name...)
	return append(binary.BigEndian.AppendUint32(buf, uint32(len(value))), value...)
}

// readProperties reads READY's properties; names are in lower case.
func readProperties(b []byte) (map[string]string, error) {
	out := map[string]string{}
	for len(b) > 0 {
		n := int(b[0])
		if len(b) < 1+n+4 {
			return nil, errors.New("zmtp: handshake: a property is cut short")
		}
		name := strings.ToLower(string(b[1 : 1+n]))
		size := uint64(binary.BigEndian.Uint32(b[1+n:]))
		b = b[1+n+4:]
		if size > uint64(len(b)) {
			return nil, errors.New("zmtp: handshake: a property is cut short")
		}
		out[name] = string(b[:size])
		b = b[size:]
	}
	return out, nil
}
