package zmtp

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// A Message is a list of frames.
type Message [][]byte

// size is what the frames hold, in bytes.
func (m Message) size() int {
	n := 0
	for _, f := range m {
		n += len(f) + frameOverhead
	}
	return n
}

// frameOverhead is the most bytes that stand before a frame.
const frameOverhead = 9

// Flags of a frame.
const (
	more    = 1 << iota // another frame of the message follows
	long                // the size has eight bytes
	command             // a command, not a message
)

// Limits on what a peer may send: whoever connects is not known before the
// signature of a message is checked.
const (
	maxMessage = 512 << 20
	maxFrames  = 4096
)

// appendHead appends what stands before a frame of n bytes.
func appendHead(buf []byte, flags byte, n int) []byte {
	if n < 256 {
		return append(buf, flags, byte(n))
	}
	return binary.BigEndian.AppendUint64(append(buf, flags|long), uint64(n))
}

// readFrame reads one frame, of limit bytes at most.
func readFrame(r *bufio.Reader, limit int) (flags byte, body []byte, err error) {
	if flags, err = r.ReadByte(); err != nil {
		return 0, nil, err
	}
	if flags > more|long|command {
		return 0, nil, fmt.Errorf("zmtp: frame with flags %#x", flags)
	}
	var size uint64
	if flags&long == 0 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, nil, cut(err)
		}
		size = uint64(b)
	} else {
		var b [8]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return 0, nil, cut(err)
		}
		size = binary.BigEndian.Uint64(b[:])
	}
	if size > uint64(limit) {
		return 0, nil, fmt.Errorf("zmtp: frame of %d bytes, want %d at most", size, limit)
	}
	// Memory is taken as bytes arrive, not as they are announced.
	if size <= 64<<10 {
		body = make([]byte, size)
		_, err = io.ReadFull(r, body)
		return flags, body, cut(err)
	}
	var buf bytes.Buffer
	if _, err := io.CopyN(&buf, r, int64(size)); err != nil {
		return 0, nil, cut(err)
	}
	return flags, buf.Bytes(), nil
}

// cut makes an end within a frame an error.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
