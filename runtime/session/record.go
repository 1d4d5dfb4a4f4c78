package session

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"strings"
)

// record is what a session says about itself at one moment.
type record struct {
	Generation uint64          `json:"generation"`
	Area       int             `json:"area"`  // the area whose arrays are complete
	Files      []fileRecord    `json:"files"` // in the order of their creation
	Log        logRecord       `json:"log"`
	Boot       string          `json:"boot"` // the machine's start during which this was written
	State      json.RawMessage `json:"state"`
}

// fileRecord names a pair of array files.
type fileRecord struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
	Sum     uint32 `json:"sum"` // of the named area
}

// logRecord says how much of the log counts.
type logRecord struct {
	Version int   `json:"version"`
	Bytes   int64 `json:"bytes"`
}

const (
	headFile = "head"
	// slotSize bounds a record; the head file is two of them.
	slotSize = 256 << 10
	magic    = uint64(0x3130_5345_5342_4c44) // "DLBSES01"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A slot is magic, the length of the text, its checksum, and the text.
const slotHeader = 16

// write puts r into the slot of its generation.
func (r *record) write(head []byte) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if len(text) > slotSize-slotHeader {
		return fmt.Errorf("a state of %d bytes, want %d at most", len(text), slotSize-slotHeader)
	}
	slot := head[int(r.Generation%2)*slotSize:][:slotSize]
	binary.LittleEndian.PutUint64(slot, 0) // not whole from here on
	copy(slot[slotHeader:], text)
	binary.LittleEndian.PutUint32(slot[8:], uint32(len(text)))
	binary.LittleEndian.PutUint32(slot[12:], crc32.Checksum(text, castagnoli))
	binary.LittleEndian.PutUint64(slot, magic)
	return nil
}

// readRecords returns the whole records of the head, the newest first.
func readRecords(head []byte) []record {
	var out []record
	for i := range 2 {
		slot := head[i*slotSize:][:slotSize]
		n := binary.LittleEndian.Uint32(slot[8:])
		if binary.LittleEndian.Uint64(slot) != magic || n > slotSize-slotHeader {
			continue
		}
		text := slot[slotHeader:][:n]
		var r record
		if crc32.Checksum(text, castagnoli) != binary.LittleEndian.Uint32(slot[12:]) || json.Unmarshal(text, &r) != nil || r.Area&^1 != 0 || r.Log.Bytes < 0 {
			continue
		}
		out = append(out, r)
	}
	if len(out) == 2 && out[0].Generation < out[1].Generation {
		out[0], out[1] = out[1], out[0]
	}
	return out
}

// bootID tells the machine's starts apart; empty where the system does not say.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
