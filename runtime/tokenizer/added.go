package tokenizer

import (
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is a token that is cut out of the text before anything else.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// addedTokens finds added tokens: those matched in the raw text first, then
// those matched in normalised text; at each place the longest.
type addedTokens struct {
	raw, normalized matcher
}

// matcher holds tokens by their first byte, longest first.
type matcher map[byte][]addedToken

func newAddedTokens(list []addedToken, normalize func(string) string) *addedTokens {
	a := &addedTokens{raw: matcher{}, normalized: matcher{}}
	for _, t := range list {
		if t.Content == "" {
			continue
		}
		if t.Normalized {
			t.Content = normalize(t.Content)
			a.normalized.add(t)
		} else {
			a.raw.add(t)
		}
	}
	return a
}

func (m matcher) add(t addedToken) {
	if t.Content == "" {
		return
	}
	c := t.Content[0]
	m[c] = append(m[c], t)
	sort.SliceStable(m[c], func(i, j int) bool { return len(m[c][i].Content) > len(m[c][j].Content) })
}

// split hands on the added tokens (id >= 0) and the normalised text between
// them (id -1) in order.
func (a *addedTokens) split(text string, normalize func(string) string, emit func(part string, id int32, first bool)) {
	a.raw.cut(text, func(part string, id int32, first bool) {
		if id >= 0 {
			emit(part, id, first)
			return
		}
		a.normalized.cut(normalize(part), func(part string, id int32, inner bool) { emit(part, id, first && inner) })
	})
}

func (m matcher) cut(text string, emit func(part string, id int32, first bool)) {
	start := 0 // of the text not handed on yet
	for at := 0; at < len(text); {
		t, ok := m.match(text, at)
		if !ok {
			at++
			continue
		}
		from, to := at, at+len(t.Content)
		if t.LStrip {
			from = start + len(strings.TrimRightFunc(text[start:from], unicode.IsSpace))
		}
		if t.RStrip {
			to = len(text) - len(strings.TrimLeftFunc(text[to:], unicode.IsSpace))
		}
		if from > start {
			emit(text[start:from], -1, start == 0)
		}
		emit(text[from:to], t.ID, from == 0)
		start, at = to, to
	}
	if start < len(text) {
		emit(text[start:], -1, start == 0)
	}
}

// match returns the longest token at a position.
func (m matcher) match(text string, at int) (addedToken, bool) {
	for _, t := range m[text[at]] {
		if !strings.HasPrefix(text[at:], t.Content) {
			continue
		}
		if t.SingleWord && (endsWord(text[:at]) || startsWord(text[at+len(t.Content):])) {
			continue
		}
		return t, true
	}
	return addedToken{}, false
}

func isWord(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.Is(unicode.M, r) || unicode.Is(unicode.Pc, r)
}

func endsWord(s string) bool {
	r, n := utf8.DecodeLastRuneInString(s)
	return n > 0 && isWord(r)
}

func startsWord(s string) bool {
	r, n := utf8.DecodeRuneInString(s)
	return n > 0 && isWord(r)
}
