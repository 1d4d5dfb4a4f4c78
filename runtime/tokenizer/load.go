package tokenizer

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// companions are the files beside tokenizer.json that are kept and saved again.
var companions = []string{"tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt", "added_tokens.json", "chat_template.jinja", "tokenizer.model"}

// Load reads a tokenizer.json, given as a file or as the directory that holds
// it; names ending in .gz are read too. A directory without one may have
// GPT-2's vocab.json and merges.txt instead.
func Load(path string) (*Tokenizer, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	if !st.IsDir() {
		text, err := read(path)
		if err != nil {
			return nil, err
		}
		t, err := parse(text, nil)
		if err != nil {
			return nil, fmt.Errorf("tokenizer: %s: %w", path, err)
		}
		t.files = map[string][]byte{"tokenizer.json": text}
		t.name(text)
		return t, nil
	}
	files := map[string][]byte{}
	for _, name := range append([]string{"tokenizer.json"}, companions...) {
		for _, suffix := range []string{"", ".gz"} {
			if text, err := read(filepath.Join(path, name+suffix)); err == nil {
				files[name] = text
				break
			} else if !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
		}
	}
	var t *Tokenizer
	if text := files["tokenizer.json"]; text != nil {
		if t, err = parse(text, files["tokenizer_config.json"]); err == nil {
			t.name(text)
		}
	} else if files["vocab.json"] != nil && files["merges.txt"] != nil {
		if t, err = fromGPT2(files["vocab.json"], files["merges.txt"], files["tokenizer_config.json"]); err == nil {
			t.name(files["vocab.json"], files["merges.txt"])
		}
	} else {
		return nil, fmt.Errorf("tokenizer: %s: no tokenizer.json, nor vocab.json with merges.txt", path)
	}
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %s: %w", path, err)
	}
	if tpl := files["chat_template.jinja"]; tpl != nil {
		t.chat = string(tpl)
	}
	t.files = files
	return t, nil
}

func read(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	if !strings.HasSuffix(path, ".gz") {
		return text, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(text))
	if err == nil {
		text, err = io.ReadAll(z)
	}
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %s: %w", path, err)
	}
	return text, nil
}

// name hashes what defines the ids.
func (t *Tokenizer) name(texts ...[]byte) {
	h := sha256.New()
	for _, text := range texts {
		h.Write(text)
	}
	t.hash = hex.EncodeToString(h.Sum(nil)[:16])
}

// Save writes the files the tokenizer was read from to a directory, byte for
// byte, so that transformers loads it from there.
func (t *Tokenizer) Save(dir string) error {
	for name, text := range t.files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return fmt.Errorf("tokenizer: %w", err)
		}
	}
	return nil
}

// document is a tokenizer.json.
type document struct {
	AddedTokens   []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         struct {
		Type         string           `json:"type"`
		Dropout      *float64         `json:"dropout"`
		UnkToken     *string          `json:"unk_token"`
		Prefix       *string          `json:"continuing_subword_prefix"`
		Suffix       *string          `json:"end_of_word_suffix"`
		FuseUnk      bool             `json:"fuse_unk"`
		ByteFallback bool             `json:"byte_fallback"`
		IgnoreMerges bool             `json:"ignore_merges"`
		Vocab        map[string]int32 `json:"vocab"`
		Merges       json.RawMessage  `json:"merges"`
	} `json:"model"`
}

func parse(text, config []byte) (*Tokenizer, error) {
	var doc document
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("not a tokenizer.json: %w", err)
	}
	m := doc.Model
	switch {
	case m.Type != "BPE" && !(m.Type == "" && m.Merges != nil):
		return nil, fmt.Errorf("model type %q, supported is BPE", m.Type)
	case len(m.Vocab) == 0:
		return nil, fmt.Errorf("the model has no vocabulary")
	case m.Merges == nil:
		return nil, fmt.Errorf("the model has no merges")
	case m.Dropout != nil && *m.Dropout != 0:
		return nil, fmt.Errorf("BPE dropout is not supported: encoding would be random")
	case m.Prefix != nil && *m.Prefix != "" || m.Suffix != nil && *m.Suffix != "":
		return nil, fmt.Errorf("continuing_subword_prefix and end_of_word_suffix are not supported")
	}
	merges, err := parseMerges(m.Merges)
	if err != nil {
		return nil, err
	}
	t := &Tokenizer{vocab: m.Vocab, special: map[int32]bool{}, cache: map[string][]int32{}, bos: -1, eos: -1, pad: -1}
	t.model = &bpe{vocab: m.Vocab, byteFallback: m.ByteFallback, ignoreMerges: m.IgnoreMerges, fuseUnk: m.FuseUnk, unk: -1}
	if err := t.model.addMerges(merges); err != nil {
		return nil, err
	}
	if m.UnkToken != nil {
		id, ok := m.Vocab[*m.UnkToken]
		if !ok {
			return nil, fmt.Errorf("unk_token %q is not in the vocabulary", *m.UnkToken)
		}
		t.model.unk = id
	}
	if t.normalize, err = normalizers(doc.Normalizer); err != nil {
		return nil, err
	}
	if err := t.preTokenizer(doc.PreTokenizer); err != nil {
		return nil, err
	}
	t.fillBytes()
	if t.decode, err = decoders(doc.Decoder); err != nil {
		return nil, err
	}
	if err := t.addTokens(doc.AddedTokens); err != nil {
		return nil, err
	}
	if err := t.postProcessor(doc.PostProcessor); err != nil {
		return nil, err
	}
	return t, t.configure(config)
}

// parseMerges reads both spellings: "a b" and ["a", "b"].
func parseMerges(raw json.RawMessage) ([][2]string, error) {
	var lines []string
	if json.Unmarshal(raw, &lines) == nil {
		out := make([][2]string, len(lines))
		for i, l := range lines {
			a, b, ok := strings.Cut(l, " ")
			if !ok || a == "" || b == "" || strings.Contains(b, " ") {
				return nil, fmt.Errorf("merge %d: %q: want two tokens", i, l)
			}
			out[i] = [2]string{a, b}
		}
		return out, nil
	}
	var pairs [][]string
	if err := json.Unmarshal(raw, &pairs); err != nil {
		return nil, fmt.Errorf("merges: want strings or pairs of strings: %w", err)
	}
	out := make([][2]string, len(pairs))
	for i, p := range pairs {
		if len(p) != 2 {
			return nil, fmt.Errorf("merge %d: %q: want two tokens", i, p)
		}
		out[i] = [2]string{p[0], p[1]}
	}
	return out, nil
}

// fillBytes finds the tokens of single bytes.
func (t *Tokenizer) fillBytes() {
	for b := range 256 {
		name := string(byteToRune[b])
		if !t.model.byteLevel {
			name = fmt.Sprintf("<0x%02X>", b)
		}
		t.model.bytes[b] = -1
		if id, ok := t.vocab[name]; ok {
			t.model.bytes[b] = id
		}
	}
}

// addTokens builds the table of tokens by id, the vocabulary's and the added.
func (t *Tokenizer) addTokens(added []addedToken) error {
	largest := int32(0)
	for _, id := range t.vocab {
		largest = max(largest, id)
	}
	for _, a := range added {
		largest = max(largest, a.ID)
	}
	if int(largest) > 16<<20 {
		return fmt.Errorf("token id %d is too large to be one", largest)
	}
	t.tokens = make([]string, largest+1)
	for token, id := range t.vocab {
		if id < 0 {
			return fmt.Errorf("token %q has id %d", token, id)
		}
		if other := t.tokens[id]; other != "" {
			return fmt.Errorf("id %d belongs to both %q and %q", id, other, token)
		}
		t.tokens[id] = token
	}
	vocab := make(map[string]int32, len(t.vocab)+len(added))
	for token, id := range t.vocab {
		vocab[token] = id
	}
	for i, a := range added {
		if a.ID < 0 {
			return fmt.Errorf("added token %q has id %d", a.Content, a.ID)
		}
		if id, known := vocab[a.Content]; known {
			added[i].ID = id // the vocabulary's id wins, as in the library
		}
		t.tokens[added[i].ID] = a.Content
		vocab[a.Content] = added[i].ID
		if a.Special {
			t.special[added[i].ID] = true
		}
	}
	t.vocab = vocab
	t.added = newAddedTokens(added, t.normalized)
	return nil
}

// configure reads the special tokens' names of tokenizer_config.json.
func (t *Tokenizer) configure(config []byte) error {
	if config != nil {
		var c struct {
			BOS, EOS, PAD tokenName
		}
		var raw map[string]json.RawMessage
		if err := json.Unmarshal(config, &raw); err != nil {
			return fmt.Errorf("tokenizer_config.json: %w", err)
		}
		for key, to := range map[string]*tokenName{"bos_token": &c.BOS, "eos_token": &c.EOS, "pad_token": &c.PAD} {
			if v := raw[key]; v != nil {
				if err := json.Unmarshal(v, to); err != nil {
					return fmt.Errorf("tokenizer_config.json: %s: %w", key, err)
				}
			}
		}
		_ = json.Unmarshal(raw["chat_template"], &t.chat) // absent, or a list of named ones
		for _, name := range []tokenName{c.BOS, c.EOS, c.PAD} {
			if _, ok := t.vocab[string(name)]; name != "" && !ok {
				return fmt.Errorf("tokenizer_config.json: token %q is not in the vocabulary", name)
			}
		}
		set := func(name tokenName, to *int32) {
			if id, ok := t.vocab[string(name)]; ok {
				*to = id
			}
		}
		set(c.BOS, &t.bos)
		set(c.EOS, &t.eos)
		set(c.PAD, &t.pad)
	}
	if t.eos < 0 {
		for _, name := range []string{"<|endoftext|>", "</s>", "<|end_of_text|>", "<|im_end|>"} {
			if id, ok := t.vocab[name]; ok {
				t.eos = id
				break
			}
		}
	}
	if t.pad < 0 {
		t.pad = t.eos
	}
	return nil
}

// tokenName is a special token given as a string or as an object with content.
type tokenName string

func (n *tokenName) UnmarshalJSON(b []byte) error {
	var s *string
	if json.Unmarshal(b, &s) == nil {
		if s != nil {
			*n = tokenName(*s)
		}
		return nil
	}
	var o struct {
		Content *string `json:"content"`
	}
	if err := json.Unmarshal(b, &o); err != nil || o.Content == nil {
		return fmt.Errorf("want a string or an object with content")
	}
	*n = tokenName(*o.Content)
	return nil
}

// fromGPT2 builds the tokenizer that GPT-2's two files stand for.
func fromGPT2(vocab, merges, config []byte) (*Tokenizer, error) {
	var v map[string]int32
	if err := json.Unmarshal(vocab, &v); err != nil {
		return nil, fmt.Errorf("vocab.json: %w", err)
	}
	var lines []string
	for _, l := range strings.Split(string(merges), "\n") {
		if l = strings.TrimRight(l, "\r"); l != "" && !strings.HasPrefix(l, "#version") {
			lines = append(lines, l)
		}
	}
	var doc document
	doc.Model.Type, doc.Model.Vocab = "BPE", v
	doc.Model.Merges, _ = json.Marshal(lines)
	doc.PreTokenizer = json.RawMessage(`{"type":"ByteLevel","add_prefix_space":false,"use_regex":true}`)
	doc.Decoder = json.RawMessage(`{"type":"ByteLevel"}`)
	if id, ok := v["<|endoftext|>"]; ok {
		doc.AddedTokens = []addedToken{{ID: id, Content: "<|endoftext|>", Special: true}}
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	return parse(text, config)
}
