package tokenizer

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// component is any typed part of tokenizer.json; each type reads the fields it
// has.
type component struct {
	Type             string            `json:"type"`
	Normalizers      []json.RawMessage `json:"normalizers"`
	Pretokenizers    []json.RawMessage `json:"pretokenizers"`
	Processors       []json.RawMessage `json:"processors"`
	Decoders         []json.RawMessage `json:"decoders"`
	Prepend          string            `json:"prepend"`
	Pattern          pattern           `json:"pattern"`
	Content          string            `json:"content"`
	Behavior         string            `json:"behavior"`
	Invert           bool              `json:"invert"`
	AddPrefixSpace   *bool             `json:"add_prefix_space"`
	UseRegex         *bool             `json:"use_regex"`
	IndividualDigits bool              `json:"individual_digits"`
	Replacement      string            `json:"replacement"`
	PrependScheme    string            `json:"prepend_scheme"`
	Split            *bool             `json:"split"`
	StripLeft        bool              `json:"strip_left"`
	StripRight       bool              `json:"strip_right"`
	Start            int               `json:"start"`
	Stop             int               `json:"stop"`
	Single           []struct {
		SpecialToken *struct {
			ID string `json:"id"`
		} `json:"SpecialToken"`
		Sequence *struct{} `json:"Sequence"`
	} `json:"single"`
	SpecialTokens map[string]struct {
		IDs []int32 `json:"ids"`
	} `json:"special_tokens"`
}

// pattern is {"String": …} or {"Regex": …}.
type pattern struct {
	String *string `json:"String"`
	Regex  *string `json:"Regex"`
}

func (p pattern) text() string {
	switch {
	case p.Regex != nil:
		return *p.Regex
	case p.String != nil:
		return *p.String
	}
	return ""
}

// read decodes a component; ok is false for an absent one.
func (c *component) read(raw json.RawMessage) (ok bool, err error) {
	if raw == nil || string(raw) == "null" {
		return false, nil
	}
	if err := json.Unmarshal(raw, c); err != nil {
		return false, fmt.Errorf("component %.60s: %w", raw, err)
	}
	return true, nil
}

func normalizers(raw json.RawMessage) ([]func(string) string, error) {
	var c component
	if ok, err := c.read(raw); !ok {
		return nil, err
	}
	one := func(fn func(string) string) []func(string) string { return []func(string) string{fn} }
	switch c.Type {
	case "Sequence":
		var all []func(string) string
		for _, part := range c.Normalizers {
			fns, err := normalizers(part)
			if err != nil {
				return nil, err
			}
			all = append(all, fns...)
		}
		return all, nil
	case "NFC":
		return one(norm.NFC.String), nil
	case "NFD":
		return one(norm.NFD.String), nil
	case "NFKC":
		return one(norm.NFKC.String), nil
	case "NFKD":
		return one(norm.NFKD.String), nil
	case "Lowercase":
		return one(strings.ToLower), nil
	case "Prepend":
		return one(func(s string) string {
			if s == "" {
				return s
			}
			return c.Prepend + s
		}), nil
	case "Replace":
		if c.Pattern.String == nil {
			return nil, fmt.Errorf("normalizer Replace with a regular expression %q is not supported", c.Pattern.text())
		}
		return one(func(s string) string { return strings.ReplaceAll(s, *c.Pattern.String, c.Content) }), nil
	case "Strip":
		return one(func(s string) string {
			if c.StripLeft {
				s = strings.TrimLeftFunc(s, isSpace)
			}
			if c.StripRight {
				s = strings.TrimRightFunc(s, isSpace)
			}
			return s
		}), nil
	}
	return nil, fmt.Errorf("normalizer type %q, supported are Sequence, NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip", c.Type)
}

// splitter cuts text into pieces.
type splitter func(text string, emit func(piece string))

// then runs one splitter on the pieces of another.
func (s splitter) then(next splitter) splitter {
	if s == nil {
		return next
	}
	return func(text string, emit func(string)) { s(text, func(p string) { next(p, emit) }) }
}

// patterns are the scanners of the published patterns.
var patterns = map[string]splitter{gpt2Pattern: scanGPT2, llama3Pattern: scanWords(3), qwenPattern: scanWords(1)}

func (t *Tokenizer) preTokenizer(raw json.RawMessage) error {
	s, err := t.splitterOf(raw)
	if err != nil {
		return err
	}
	if s == nil {
		s = scanWhole
	}
	t.split = s
	return nil
}

func (t *Tokenizer) splitterOf(raw json.RawMessage) (splitter, error) {
	var c component
	if ok, err := c.read(raw); !ok {
		return nil, err
	}
	switch c.Type {
	case "Sequence":
		var all splitter
		for _, part := range c.Pretokenizers {
			s, err := t.splitterOf(part)
			if err != nil {
				return nil, err
			}
			if s != nil {
				all = all.then(s)
			}
		}
		return all, nil
	case "ByteLevel":
		t.model.byteLevel = true
		scan := splitter(scanWhole)
		if c.UseRegex == nil || *c.UseRegex {
			scan = scanGPT2
		}
		if c.AddPrefixSpace == nil || *c.AddPrefixSpace {
			return splitter(func(s string, emit func(string)) {
				if !strings.HasPrefix(s, " ") {
					s = " " + s
				}
				scan(s, emit)
			}), nil
		}
		return scan, nil
	case "Split":
		scan := patterns[c.Pattern.text()]
		if c.Pattern.Regex == nil || scan == nil || c.Invert || c.Behavior != "Isolated" {
			return nil, fmt.Errorf("pre-tokenizer Split with pattern %q (behavior %s, invert %v): supported are the isolated patterns of GPT-2, Llama 3 and Qwen 2", c.Pattern.text(), c.Behavior, c.Invert)
		}
		return scan, nil
	case "Digits":
		if !c.IndividualDigits {
			return nil, fmt.Errorf("pre-tokenizer Digits without individual_digits is not supported")
		}
		return scanDigits, nil
	case "Metaspace":
		return t.metaspace(c)
	}
	return nil, fmt.Errorf("pre-tokenizer type %q, supported are Sequence, ByteLevel, Split, Digits, Metaspace", c.Type)
}

// metaspace writes spaces as the replacement character and cuts before each.
func (t *Tokenizer) metaspace(c component) (splitter, error) {
	mark := c.Replacement
	if mark == "" {
		mark = "▁"
	}
	scheme := c.PrependScheme
	if scheme == "" {
		scheme = "always"
		if c.AddPrefixSpace != nil && !*c.AddPrefixSpace {
			scheme = "never"
		}
	}
	if scheme != "always" && scheme != "never" {
		return nil, fmt.Errorf("pre-tokenizer Metaspace with prepend_scheme %q, supported are always and never", scheme)
	}
	cut := c.Split == nil || *c.Split
	return func(s string, emit func(string)) {
		s = strings.ReplaceAll(s, " ", mark)
		if scheme == "always" && !strings.HasPrefix(s, mark) {
			s = mark + s
		}
		for cut {
			next := strings.Index(s[min(1, len(s)):], mark)
			if next < 0 {
				break
			}
			emit(s[:next+1])
			s = s[next+1:]
		}
		if s != "" {
			emit(s)
		}
	}, nil
}

// postProcessor finds the special tokens around a single sequence.
func (t *Tokenizer) postProcessor(raw json.RawMessage) error {
	var c component
	if ok, err := c.read(raw); !ok {
		return err
	}
	switch c.Type {
	case "ByteLevel":
		return nil
	case "Sequence":
		for _, part := range c.Processors {
			if err := t.postProcessor(part); err != nil {
				return err
			}
		}
		return nil
	case "TemplateProcessing":
		to := &t.prefix
		for _, item := range c.Single {
			if item.Sequence != nil {
				to = &t.suffix
				continue
			}
			if item.SpecialToken == nil {
				return fmt.Errorf("post-processor TemplateProcessing: an item is neither a sequence nor a special token")
			}
			special, ok := c.SpecialTokens[item.SpecialToken.ID]
			if !ok {
				return fmt.Errorf("post-processor TemplateProcessing: special token %q is not described", item.SpecialToken.ID)
			}
			*to = append(*to, special.IDs...)
		}
		return nil
	}
	return fmt.Errorf("post-processor type %q, supported are ByteLevel, TemplateProcessing, Sequence", c.Type)
}

func decoders(raw json.RawMessage) ([]func([]string) []string, error) {
	var c component
	if ok, err := c.read(raw); !ok {
		if err != nil {
			return nil, err
		}
		return []func([]string) []string{joinWithSpaces}, nil
	}
	return decoderOf(c)
}

// joinWithSpaces is what the library does without a decoder.
func joinWithSpaces(tokens []string) []string { return []string{strings.Join(tokens, " ")} }

func decoderOf(c component) ([]func([]string) []string, error) {
	one := func(fn func([]string) []string) []func([]string) []string { return []func([]string) []string{fn} }
	each := func(fn func(i int, s string) string) []func([]string) []string {
		return one(func(tokens []string) []string {
			out := make([]string, len(tokens))
			for i, s := range tokens {
				out[i] = fn(i, s)
			}
			return out
		})
	}
	switch c.Type {
	case "Sequence":
		var all []func([]string) []string
		for _, raw := range c.Decoders {
			var part component
			if _, err := part.read(raw); err != nil {
				return nil, err
			}
			fns, err := decoderOf(part)
			if err != nil {
				return nil, err
			}
			all = append(all, fns...)
		}
		return all, nil
	case "ByteLevel":
		return one(decodeByteLevel), nil
	case "ByteFallback":
		return one(decodeByteFallback), nil
	case "Fuse":
		return one(func(tokens []string) []string { return []string{strings.Join(tokens, "")} }), nil
	case "Replace":
		if c.Pattern.String == nil {
			return nil, fmt.Errorf("decoder Replace with a regular expression %q is not supported", c.Pattern.text())
		}
		return each(func(_ int, s string) string { return strings.ReplaceAll(s, *c.Pattern.String, c.Content) }), nil
	case "Strip":
		return each(func(_ int, s string) string {
			for range c.Start {
				s = strings.TrimPrefix(s, c.Content)
			}
			for range c.Stop {
				s = strings.TrimSuffix(s, c.Content)
			}
			return s
		}), nil
	case "Metaspace":
		mark := c.Replacement
		if mark == "" {
			mark = "▁"
		}
		prepended := c.PrependScheme != "never" && (c.AddPrefixSpace == nil || *c.AddPrefixSpace)
		return each(func(i int, s string) string {
			if i == 0 && prepended {
				s = strings.TrimPrefix(s, mark)
			}
			return strings.ReplaceAll(s, mark, " ")
		}), nil
	}
	return nil, fmt.Errorf("decoder type %q, supported are Sequence, ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace", c.Type)
}

// decodeByteFallback turns runs of <0xNN> into the characters they encode, and
// each byte of an invalid run into U+FFFD.
func decodeByteFallback(tokens []string) []string {
	var out []string
	var run []byte
	flush := func() {
		if len(run) == 0 {
			return
		}
		if s := string(run); strings.ToValidUTF8(s, "") == s {
			out = append(out, s)
		} else {
			for range run {
				out = append(out, "\uFFFD")
			}
		}
		run = nil
	}
	for _, t := range tokens {
		if len(t) == 6 && strings.HasPrefix(t, "<0x") && t[5] == '>' {
			if b, err := strconv.ParseUint(t[3:5], 16, 8); err == nil {
				run = append(run, byte(b))
				continue
			}
		}
		flush()
		out = append(out, t)
	}
	flush()
	return out
}
