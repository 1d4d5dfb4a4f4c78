package tokenizer

import "strings"

// GPT-2's alphabet gives every byte a printable character: printable Latin-1
// stands for itself, the other 68 bytes follow from U+0100 on.
var (
	byteToRune [256]rune
	runeToByte = map[rune]byte{}
)

func init() {
	next := rune(256)
	for b := range 256 {
		r := rune(b)
		if !(b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE) {
			r = next
			next++
		}
		byteToRune[b] = r
		runeToByte[r] = byte(b)
	}
}

// spell writes bytes in the alphabet.
func spell(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(byteToRune[s[i]])
	}
	return b.String()
}

// unspell reads the alphabet; a token with other characters, such as an added
// one, stands for its own bytes.
func unspell(token string) string {
	var b strings.Builder
	for _, r := range token {
		c, ok := runeToByte[r]
		if !ok {
			return token
		}
		b.WriteByte(c)
	}
	return b.String()
}

// decodeByteLevel joins the bytes of all tokens; what is not UTF-8 becomes
// U+FFFD.
func decodeByteLevel(tokens []string) []string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString(unspell(t))
	}
	return []string{toValid(b.String())}
}

// toValid replaces invalid bytes by U+FFFD, one for each maximal part of a
// character, as Python and Rust do.
func toValid(s string) string {
	if strings.ToValidUTF8(s, "") == s {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		n, ok := sequence(s)
		if ok {
			b.WriteString(s[:n])
		} else {
			b.WriteRune('\uFFFD')
		}
		s = s[n:]
	}
	return b.String()
}

// sequence returns the length of the character s begins with, or of the longest
// part of one that is well-formed so far.
func sequence(s string) (n int, ok bool) {
	c := s[0]
	lo, hi := byte(0x80), byte(0xBF) // of the second byte
	switch {
	case c < 0x80:
		return 1, true
	case c >= 0xC2 && c <= 0xDF:
		n = 2
	case c >= 0xE0 && c <= 0xEF:
		n = 3
		if c == 0xE0 {
			lo = 0xA0
		} else if c == 0xED {
			hi = 0x9F
		}
	case c >= 0xF0 && c <= 0xF4:
		n = 4
		if c == 0xF0 {
			lo = 0x90
		} else if c == 0xF4 {
			hi = 0x8F
		}
	default:
		return 1, false
	}
	for i := 1; i < n; i++ {
		if i == len(s) || s[i] < lo || s[i] > hi {
			return i, false
		}
		lo, hi = 0x80, 0xBF
	}
	return n, true
}
