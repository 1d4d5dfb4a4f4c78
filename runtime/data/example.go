package data

import (
	"fmt"
	"slices"
)

// Tokenizer is what data needs of a tokenizer.
type Tokenizer struct {
	Encode func(text string) []int32 // without special tokens
	EOS    int32                     // appended to every response
	// EOSText names the token in errors.
	EOSText string
}

// Example is one tokenised preference pair. For supervised fine-tuning only
// Chosen is used.
type Example struct {
	Prompt, Chosen, Rejected             []int32 // responses end with EOS unless cut
	PromptText, ChosenText, RejectedText string
	Row                                  string // where the pair came from: "harmless-base/test.jsonl:17"
	Truncated                            bool   // the prompt was cut
	LostEOS                              bool   // a response was cut, and with it its EOS
}

// Limits are the lengths of the reference's truncation, in tokens.
type Limits struct {
	MaxLength       int // prompt plus the longer response
	MaxPromptLength int // what a prompt is cut to when that is exceeded
}

func (l Limits) check() error {
	if l.MaxPromptLength < 1 || l.MaxLength <= l.MaxPromptLength {
		return fmt.Errorf("lengths of %d tokens, prompt at most %d: want room for one token of each at least", l.MaxLength, l.MaxPromptLength)
	}
	return nil
}

// Tokenize builds an example as the reference does: the three texts are encoded
// on their own, EOS is appended to the responses, a prompt that makes the whole
// too long is cut to MaxPromptLength even if less would do, and if that does
// not help both responses are cut to MaxLength - MaxPromptLength. A text that
// contains the EOS token is an error.
func (t Tokenizer) Tokenize(prompt, chosen, rejected string, cut Truncation, l Limits) (Example, error) {
	if err := l.check(); err != nil {
		return Example{}, err
	}
	e := Example{Prompt: t.Encode(prompt), Chosen: t.Encode(chosen), Rejected: t.Encode(rejected),
		PromptText: prompt, ChosenText: chosen, RejectedText: rejected}
	for _, part := range []struct {
		name string
		ids  []int32
	}{{"prompt", e.Prompt}, {"chosen response", e.Chosen}, {"rejected response", e.Rejected}} {
		if slices.Contains(part.ids, t.EOS) {
			return e, fmt.Errorf("the %s contains the end-of-text token %s", part.name, t.EOSText)
		}
	}
	e.Chosen, e.Rejected = append(slices.Clip(e.Chosen), t.EOS), append(slices.Clip(e.Rejected), t.EOS)
	longer := max(len(e.Chosen), len(e.Rejected))
	if len(e.Prompt)+longer > l.MaxLength && len(e.Prompt) > l.MaxPromptLength {
		e.Truncated = true
		if cut == KeepEnd {
			e.Prompt = e.Prompt[len(e.Prompt)-l.MaxPromptLength:]
		} else {
			e.Prompt = e.Prompt[:l.MaxPromptLength]
		}
	}
	if len(e.Prompt)+longer > l.MaxLength {
		most := l.MaxLength - l.MaxPromptLength
		e.LostEOS = len(e.Chosen) > most || len(e.Rejected) > most
		e.Chosen, e.Rejected = e.Chosen[:min(most, len(e.Chosen))], e.Rejected[:min(most, len(e.Rejected))]
	}
	return e, nil
}
