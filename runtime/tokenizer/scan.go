package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// A scanner cuts text as a published pattern's successive matches do. Each is
// the pattern's alternatives in order.

// gpt2Pattern is GPT-2's, which GPT-NeoX and SmolLM use too.
const gpt2Pattern = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

// llama3Pattern takes up to three digits at a time, qwenPattern one.
const (
	llama3Pattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	qwenPattern   = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

func isLetter(r rune) bool { return unicode.Is(unicode.L, r) }
func isNumber(r rune) bool { return unicode.Is(unicode.N, r) }

// isSpace is \s of the pattern: Unicode's White_Space.
func isSpace(r rune) bool { return unicode.Is(unicode.White_Space, r) }
func isOther(r rune) bool { return !isSpace(r) && !isLetter(r) && !isNumber(r) }
func isBreak(r rune) bool { return r == '\r' || r == '\n' }

// while returns the end of the run of characters from at on that is accepts.
func while(s string, at int, is func(rune) bool) int {
	for at < len(s) {
		r, n := utf8.DecodeRuneInString(s[at:])
		if !is(r) {
			break
		}
		at += n
	}
	return at
}

// contraction returns the length of 's, 't, 're, 've, 'm, 'll or 'd at the
// start of s, 0 if there is none. Without case, the long s (U+017F) is an s.
func contraction(s string, anyCase bool) int {
	if len(s) < 2 || s[0] != '\'' {
		return 0
	}
	fold := func(i int) byte {
		c := s[i]
		if anyCase && c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		return c
	}
	switch fold(1) {
	case 's', 't', 'm', 'd':
		return 2
	case 'r', 'v':
		if len(s) > 2 && fold(2) == 'e' {
			return 3
		}
	case 'l':
		if len(s) > 2 && fold(2) == 'l' {
			return 3
		}
	}
	if anyCase && len(s) >= 3 && s[1:3] == "ſ" {
		return 3
	}
	return 0
}

// spaces returns the end of a run of white space that begins at at: all of it
// at the end of the text, else all but its last character (\s+(?!\S)), or the
// one character there is (\s+).
func spaces(s string, at int) int {
	end := while(s, at, isSpace)
	if end == len(s) {
		return end
	}
	_, last := utf8.DecodeLastRuneInString(s[at:end])
	if end-last > at {
		return end - last
	}
	return end
}

// scanGPT2 matches gpt2Pattern.
func scanGPT2(s string, emit func(string)) {
	for at := 0; at < len(s); {
		end := nextGPT2(s, at)
		emit(s[at:end])
		at = end
	}
}

func nextGPT2(s string, at int) int {
	if n := contraction(s[at:], false); n > 0 {
		return at + n
	}
	from := at
	if s[at] == ' ' && at+1 < len(s) {
		from++
	}
	r, _ := utf8.DecodeRuneInString(s[from:])
	switch {
	case isLetter(r):
		return while(s, from, isLetter)
	case isNumber(r):
		return while(s, from, isNumber)
	case !isSpace(r):
		return while(s, from, isOther)
	}
	return spaces(s, at)
}

// scanWords returns the scanner of llama3Pattern or qwenPattern, which differ
// in how many digits go together.
func scanWords(digits int) func(string, func(string)) {
	return func(s string, emit func(string)) {
		for at := 0; at < len(s); {
			end := nextWord(s, at, digits)
			emit(s[at:end])
			at = end
		}
	}
}

func nextWord(s string, at, digits int) int {
	if n := contraction(s[at:], true); n > 0 {
		return at + n
	}
	r, n := utf8.DecodeRuneInString(s[at:])
	if isLetter(r) {
		return while(s, at, isLetter)
	}
	if !isBreak(r) && !isNumber(r) && at+n < len(s) {
		if next, _ := utf8.DecodeRuneInString(s[at+n:]); isLetter(next) {
			return while(s, at+n, isLetter)
		}
	}
	if isNumber(r) {
		left := digits
		return while(s, at, func(r rune) bool { left--; return left >= 0 && isNumber(r) })
	}
	from := at
	if r == ' ' && at+1 < len(s) {
		from++
	}
	if r, _ := utf8.DecodeRuneInString(s[from:]); isOther(r) {
		return while(s, while(s, from, isOther), isBreak)
	}
	end := while(s, at, isSpace)
	for last := end; last > at; { // \s*[\r\n]+: up to the last line break of the run
		r, n := utf8.DecodeLastRuneInString(s[at:last])
		if isBreak(r) {
			return last
		}
		last -= n
	}
	return spaces(s, at)
}

// scanDigits cuts every number character out on its own.
func scanDigits(s string, emit func(string)) {
	at := 0
	for i, r := range s {
		if isNumeric(r) {
			if i > at {
				emit(s[at:i])
			}
			at = i + utf8.RuneLen(r)
			emit(s[i:at])
		}
	}
	if at < len(s) {
		emit(s[at:])
	}
}

// isNumeric is Rust's char::is_numeric: the general categories Nd, Nl and No.
func isNumeric(r rune) bool { return isNumber(r) }

// scanWhole hands on the text as one piece.
func scanWhole(s string, emit func(string)) {
	if s != "" {
		emit(s)
	}
}
