package jupyter

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"sync"
)

var (
	errForged   = errors.New("the signature is wrong")
	errReplayed = errors.New("the signature has been seen before")
)

// remembered is how many signatures are kept to recognise replayed messages.
const remembered = 1 << 16

// signer signs messages with HMAC over the bytes of their four JSON frames, and
// recognises those signed with the same key.
type signer struct {
	key  []byte
	hash func() hash.Hash

	mu   sync.Mutex
	seen map[string]bool
	ring []string // seen, oldest at next
	next int
}

func newSigner(key Key, scheme string) (*signer, error) {
	s := &signer{key: []byte(key), seen: map[string]bool{}}
	switch scheme {
	case "", "hmac-sha256":
		s.hash = sha256.New
	case "hmac-sha384":
		s.hash = sha512.New384
	case "hmac-sha512":
		s.hash = sha512.New
	default:
		return nil, fmt.Errorf("connection file: signature_scheme: want hmac-sha256, hmac-sha384 or hmac-sha512, got %q", scheme)
	}
	return s, nil
}

// sign returns the signature in hexadecimal; it is empty without a key.
func (s *signer) sign(frames [][]byte) []byte {
	if len(s.key) == 0 {
		return []byte{}
	}
	mac := hmac.New(s.hash, s.key)
	for _, f := range frames {
		mac.Write(f)
	}
	return hex.AppendEncode(nil, mac.Sum(nil))
}

// check tells whether frames, as received, carry a signature that is right and
// new.
func (s *signer) check(signature []byte, frames [][]byte) error {
	if len(s.key) == 0 {
		return nil
	}
	if !hmac.Equal(s.sign(frames), signature) {
		return errForged
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	text := string(signature)
	if s.seen[text] {
		return errReplayed
	}
	s.seen[text] = true
	if len(s.ring) < remembered {
		s.ring = append(s.ring, text)
		return nil
	}
	delete(s.seen, s.ring[s.next])
	s.ring[s.next] = text
	s.next = (s.next + 1) % remembered
	return nil
}
