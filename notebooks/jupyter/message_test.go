package jupyter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"dpolab/notebooks/jupyter/internal/zmtp"
)

func testSigner(t *testing.T, key Key, scheme string) *signer {
	t.Helper()
	s, err := newSigner(key, scheme)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The signature is that of Python's hmac.new(b"key", digestmod="sha256") over
// b"{}" four times.
func TestSignatureValue(t *testing.T) {
	s := testSigner(t, "key", "hmac-sha256")
	frames := [][]byte{[]byte("{}"), []byte("{}"), []byte("{}"), []byte("{}")}
	const want = "ca767b02c5bc061ed184a9a029e7f93a7f2f7ed4e8fe74120fc1212f0b008fa3"
	if got := string(s.sign(frames)); got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

func TestSignatures(t *testing.T) {
	for _, scheme := range []string{"", "hmac-sha256", "hmac-sha384", "hmac-sha512"} {
		s := testSigner(t, "key", scheme)
		frames := func(text string) [][]byte { return [][]byte{[]byte(text), nil, nil, nil} }
		good := s.sign(frames("one"))
		if err := s.check(good, frames("two")); err != errForged {
			t.Errorf("%s: signature of another message: %v", scheme, err)
		}
		if err := s.check(nil, frames("one")); err != errForged {
			t.Errorf("%s: no signature: %v", scheme, err)
		}
		if err := s.check(good, frames("one")); err != nil {
			t.Errorf("%s: %v", scheme, err)
		}
		if err := s.check(good, frames("one")); err != errReplayed {
			t.Errorf("%s: replayed: %v", scheme, err)
		}
	}
	if err := testSigner(t, "", "").check([]byte("anything"), nil); err != nil {
		t.Errorf("without a key: %v", err)
	}
	if _, err := newSigner("key", "hmac-md5"); err == nil {
		t.Error("takes a scheme that is broken")
	}
}

// Memory of signatures is bounded, and the newest are those remembered.
func TestSignaturesAreForgotten(t *testing.T) {
	s := testSigner(t, "key", "")
	check := func(i int) error {
		frames := [][]byte{fmt.Append(nil, i)}
		return s.check(s.sign(frames), frames)
	}
	for i := range remembered + 10 {
		if err := check(i); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.seen) != remembered || check(remembered+9) != errReplayed || check(11) != errReplayed || check(0) != nil {
		t.Errorf("remembers %d signatures, or not the newest", len(s.seen))
	}
}

func TestMessageRoundTrip(t *testing.T) {
	w := &writer{testSigner(t, "key", ""), "the session"}
	frames, err := w.frames([][]byte{[]byte("topic")}, outgoing{kind: "stream", parent: json.RawMessage(`{"msg_id":"p"}`), content: map[string]string{"text": "<a&b>"}, buffers: [][]byte{{0, 1}}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := parse(frames, testSigner(t, "key", ""))
	if err != nil {
		t.Fatal(err)
	}
	if m.header.Type != "stream" || m.header.Session != "the session" || m.header.Version != protocolVersion || m.parent.ID != "p" ||
		string(m.content) != `{"text":"<a&b>"}` || len(m.buffers) != 1 || !bytes.Equal(m.routing[0], []byte("topic")) {
		t.Errorf("%+v", m)
	}
}

func TestMalformedMessages(t *testing.T) {
	s := testSigner(t, "", "")
	frames := func(texts ...string) zmtp.Message {
		m := zmtp.Message{delimiter}
		for _, t := range texts {
			m = append(m, []byte(t))
		}
		return m
	}
	header := `{"msg_type":"x"}`
	for name, m := range map[string]zmtp.Message{
		"nothing":      {},
		"no delimiter": {[]byte("a")},
		"too short":    frames("", "{}", "{}", "{}"),
		"no type":      frames("", "{}", "{}", "{}", "{}"),
		"no JSON":      frames("", "header", "{}", "{}", "{}"),
		"a list":       frames("", "[]", "{}", "{}", "{}"),
		"parent":       frames("", header, "x", "{}", "{}"),
		"metadata":     frames("", header, "{}", "x", "{}"),
	} {
		if _, err := parse(m, s); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := parse(frames("", header, "{}", "{}", "{}", "buffer"), s); err != nil {
		t.Error(err)
	}
	if _, err := parse(frames("forged", header, "{}", "{}", "{}"), testSigner(t, "key", "")); !errors.Is(err, errForged) {
		t.Errorf("forged: %v", err)
	}
}

func TestKeyIsNotPrinted(t *testing.T) {
	c := Connection{Key: "secret", IP: "127.0.0.1"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, v := range []any{c, &c, c.Key} {
			if text := fmt.Sprintf(format, v); strings.Contains(text, "secret") {
				t.Errorf("%s prints %s", format, text)
			}
		}
	}
}

func TestCursorCountsCharacters(t *testing.T) {
	const text = "zażółć 🙂.x"
	for _, c := range []struct{ characters, bytes int }{{0, 0}, {3, 4}, {7, 11}, {8, 15}, {10, 17}, {99, 17}, {-1, 0}} {
		if got := byteOffset(text, c.characters); got != c.bytes {
			t.Errorf("character %d is byte %d, want %d", c.characters, got, c.bytes)
		}
		if c.characters >= 0 && c.characters < 99 {
			if got := characters(text, c.bytes); got != c.characters {
				t.Errorf("byte %d is character %d, want %d", c.bytes, got, c.characters)
			}
		}
	}
}
