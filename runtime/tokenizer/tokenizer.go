// Package tokenizer reads Hugging Face tokenizer.json files and turns text into
// token ids exactly as the Hugging Face library does.
//
//	tok, err := tokenizer.Load(dir)
//	ids := tok.Encode("Hello world", false)
//	text := tok.Decode(ids, true)
//
// Supported are byte-level BPE (GPT-2, GPT-NeoX, Llama 3, Qwen 2 and 3, SmolLM)
// and SentencePiece-style BPE with byte fallback (Llama 2). The pieces of text
// that BPE works on are cut by hand-written scanners, one per published
// pattern: Go's regular expressions have no look-ahead, which all of them use,
// and a scanner is several times faster.
//
// Text is taken as UTF-8; invalid bytes are read as U+FFFD, as Python's
// "replace" does. A Tokenizer may be used by several goroutines at once.
//
// # Errors
//
// [Load] reports what it does not support by name rather than ignore it:
// a component's type, a pattern, a merge of unknown tokens, duplicate ids.
package tokenizer

import (
	"strings"
	"sync"
	"unicode/utf8"
)

// Tokenizer turns text into ids and back.
type Tokenizer struct {
	vocab   map[string]int32
	tokens  []string // by id; "" where there is none
	added   *addedTokens
	special map[int32]bool

	normalize []func(string) string
	split     func(text string, emit func(piece string))
	model     *bpe
	decode    []func([]string) []string
	bos, eos  int32
	pad       int32
	prefix    []int32 // added by addSpecial
	suffix    []int32

	files map[string][]byte // what defines it, as read
	hash  string
	chat  string

	mu    sync.RWMutex
	cache map[string][]int32 // ids of pieces seen before
}

// cacheSize is how many pieces are remembered, and cachedLength the longest.
const (
	cacheSize    = 1 << 16
	cachedLength = 64
)

// Encode returns the ids of text. With addSpecial the post-processor's special
// tokens are added, such as Llama's BOS.
func (t *Tokenizer) Encode(text string, addSpecial bool) []int32 {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	var ids []int32
	if addSpecial {
		ids = append(ids, t.prefix...)
	}
	t.added.split(text, t.normalized, func(part string, id int32, first bool) {
		if id >= 0 {
			ids = append(ids, id)
			return
		}
		t.split(part, func(piece string) { ids = t.encodePiece(ids, piece) })
	})
	if addSpecial {
		ids = append(ids, t.suffix...)
	}
	return ids
}

func (t *Tokenizer) normalized(text string) string {
	for _, fn := range t.normalize {
		text = fn(text)
	}
	return text
}

// encodePiece appends the ids of one pre-token.
func (t *Tokenizer) encodePiece(ids []int32, piece string) []int32 {
	if len(piece) > cachedLength {
		return t.model.encode(ids, piece)
	}
	t.mu.RLock()
	known, ok := t.cache[piece]
	t.mu.RUnlock()
	if ok {
		return append(ids, known...)
	}
	known = t.model.encode(nil, piece)
	t.mu.Lock()
	if len(t.cache) >= cacheSize {
		t.cache = map[string][]int32{}
	}
	t.cache[strings.Clone(piece)] = known
	t.mu.Unlock()
	return append(ids, known...)
}

// Decode returns the text of ids; skipSpecial leaves special tokens out. Ids
// that name no token are left out too.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	var out strings.Builder
	var run []string
	flush := func() {
		parts := run
		for _, fn := range t.decode {
			parts = fn(parts)
		}
		for _, p := range parts {
			out.WriteString(p)
		}
		run = nil
	}
	for _, id := range ids {
		if id < 0 || int(id) >= len(t.tokens) || skipSpecial && t.special[id] {
			continue
		}
		run = append(run, t.tokens[id])
	}
	flush()
	return out.String()
}

// VocabSize is one more than the largest id.
func (t *Tokenizer) VocabSize() int { return len(t.tokens) }

// Token returns the token of an id as the vocabulary spells it.
func (t *Tokenizer) Token(id int32) (string, bool) {
	if id < 0 || int(id) >= len(t.tokens) || t.tokens[id] == "" {
		return "", false
	}
	return t.tokens[id], true
}

// ID returns the id of a token of the vocabulary.
func (t *Tokenizer) ID(token string) (int32, bool) {
	id, ok := t.vocab[token]
	return id, ok
}

// EOS, BOS and PAD return the special tokens' ids, -1 where there is none.
func (t *Tokenizer) EOS() int32 { return t.eos }
func (t *Tokenizer) BOS() int32 { return t.bos }
func (t *Tokenizer) PAD() int32 { return t.pad }

// EOSToken returns the end-of-text token's spelling.
func (t *Tokenizer) EOSToken() string {
	s, _ := t.Token(t.eos)
	return s
}

// ChatTemplate returns the template of tokenizer_config.json, "" without one.
func (t *Tokenizer) ChatTemplate() string { return t.chat }

// Hash names the tokenizer by the content of the files that define its ids.
func (t *Tokenizer) Hash() string { return t.hash }
