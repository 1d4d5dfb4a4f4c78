package dpo

import (
	"fmt"

	"dpolab/runtime/data"
	"dpolab/runtime/tokenizer"
)

// Tokenizer turns text into token ids and back.
type Tokenizer struct {
	path string
	tok  *tokenizer.Tokenizer
}

// LoadTokenizer reads the tokenizer of a Hugging Face directory, or a
// tokenizer.json.
func LoadTokenizer(path string) *Tokenizer {
	t := &Tokenizer{path: path}
	stoppable("LoadTokenizer", func() (err error) { t.tok, err = tokenizer.Load(path); return err }, nil)
	return t
}

// Encode returns the ids of a text, without special tokens.
func (t *Tokenizer) Encode(text string) []int32 { return t.tok.Encode(text, false) }

// Decode returns the text of ids, without special tokens.
func (t *Tokenizer) Decode(ids []int32) string { return t.tok.Decode(ids, true) }

// VocabSize is one more than the largest id.
func (t *Tokenizer) VocabSize() int { return t.tok.VocabSize() }

func (t *Tokenizer) String() string {
	return fmt.Sprintf("tokenizer of %d tokens, end of text %q", t.tok.VocabSize(), t.tok.EOSToken())
}

// forData is what package data needs.
func (t *Tokenizer) forData(op string) data.Tokenizer {
	if t.tok.EOS() < 0 {
		refuse(op, "a tokenizer with an end-of-text token", "%s without one", t.path)
	}
	return data.Tokenizer{Encode: t.Encode, EOS: t.tok.EOS(), EOSText: t.tok.EOSToken()}
}
