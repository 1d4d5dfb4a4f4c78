package train

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"sync"
)

// ReferenceName says what reference log-probabilities depend on besides the
// tokens themselves. Two runs with equal names share one artifact.
type ReferenceName struct {
	Weights   string `json:"weights"`   // hash of the reference's weights
	Tokenizer string `json:"tokenizer"` // hash of the files that define its ids
	DType     string `json:"dtype"`
	// Truncation names how long texts were cut; the cut tokens are part of
	// every key as well, so it is there for people to read.
	Truncation string `json:"truncation"`
}

// ID is the artifact's directory name.
func (n ReferenceName) ID() string {
	text, _ := json.Marshal(n)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// ReferenceCache keeps one log-probability per (prompt, response), in memory
// and, if it has a directory, in a file that later runs read: any number of
// epochs, betas and losses ask the reference model once per pair.
//
// The file is a list of 24-byte records (16 bytes of key, the float32 value, a
// checksum), written at the end only, so that runs may share it while they go
// on. A record that a crash cut short is dropped, with all behind it, when the
// file is next opened.
type ReferenceCache struct {
	mu     sync.Mutex
	known  map[cacheKey]float32
	file   *os.File
	loaded int
}

type cacheKey [16]byte

const recordSize = 24

// keyOf names a response by its tokens and its prompt's.
func keyOf(prompt, response []int32) cacheKey {
	h := sha256.New()
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(prompt)))
	h.Write(n[:])
	for _, part := range [][]int32{prompt, response} {
		b := make([]byte, 4*len(part))
		for i, id := range part {
			binary.LittleEndian.PutUint32(b[4*i:], uint32(id))
		}
		h.Write(b)
	}
	return cacheKey(h.Sum(nil)[:16])
}

// OpenReferenceCache opens or creates the artifact of the given name under
// root. An empty root keeps it in memory.
func OpenReferenceCache(root string, name ReferenceName) (*ReferenceCache, error) {
	c := &ReferenceCache{known: map[cacheKey]float32{}}
	if root == "" {
		return c, nil
	}
	dir := filepath.Join(root, name.ID())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("reference cache: %w", err)
	}
	manifest, _ := json.MarshalIndent(name, "", "  ")
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), append(manifest, '\n'), 0o644); err != nil {
		return nil, fmt.Errorf("reference cache: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "logps.bin"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("reference cache: %w", err)
	}
	c.file = f
	if err := c.read(); err != nil {
		f.Close()
		return nil, fmt.Errorf("reference cache: %s: %w", f.Name(), err)
	}
	return c, nil
}

// read loads every good record and cuts the file behind the last of them.
func (c *ReferenceCache) read() error {
	r := bufio.NewReader(c.file)
	var rec [recordSize]byte
	good := int64(0)
	for {
		if _, err := io.ReadFull(r, rec[:]); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				break
			}
			return err
		}
		if crc32.ChecksumIEEE(rec[:20]) != binary.LittleEndian.Uint32(rec[20:]) {
			break
		}
		c.known[cacheKey(rec[:16])] = math.Float32frombits(binary.LittleEndian.Uint32(rec[16:]))
		good += recordSize
	}
	c.loaded = len(c.known)
	return c.file.Truncate(good)
}

// Len is the number of responses known, Loaded how many of them came from disk.
func (c *ReferenceCache) Len() int    { return len(c.known) }
func (c *ReferenceCache) Loaded() int { return c.loaded }

// lookup returns the log-probability of a response, if known.
func (c *ReferenceCache) lookup(prompt, response []int32) (float32, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.known[keyOf(prompt, response)]
	return v, ok
}

// store adds log-probabilities; keys already there keep their value.
func (c *ReferenceCache) store(keys []cacheKey, values []float32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []byte
	for i, k := range keys {
		if _, ok := c.known[k]; ok {
			continue
		}
		c.known[k] = values[i]
		var rec [recordSize]byte
		copy(rec[:], k[:])
		binary.LittleEndian.PutUint32(rec[16:], math.Float32bits(values[i]))
		binary.LittleEndian.PutUint32(rec[20:], crc32.ChecksumIEEE(rec[:20]))
		out = append(out, rec[:]...)
	}
	if c.file == nil || len(out) == 0 {
		return nil
	}
	if _, err := c.file.Write(out); err != nil {
		return fmt.Errorf("reference cache: %w", err)
	}
	return nil
}

// Close writes nothing more and closes the file.
func (c *ReferenceCache) Close() error {
	if c.file == nil {
		return nil
	}
	return c.file.Close()
}
