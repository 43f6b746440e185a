package apprunner

import (
	"unicode/utf16"
	"unicode/utf8"
)

// reader takes JSON (RFC 8259) apart, one token after the other. It accepts nothing but what the grammar allows, and
// no text that is not valid UTF-8, not even hidden in escapes.
type reader struct {
	data []byte
	at   int
}

// peek returns the next byte that is not white space, or 0 at the end.
func (r *reader) peek() byte {
	for r.at < len(r.data) {
		switch c := r.data[r.at]; c {
		case ' ', '\t', '\n', '\r':
			r.at++
		case 0: // a NUL is not the end, and no token begins with it
			return 1
		default:
			return c
		}
	}
	return 0
}

// take consumes c if it is the next byte that is not white space.
func (r *reader) take(c byte) bool {
	if r.peek() != c {
		return false
	}
	r.at++
	return true
}

// takeWord consumes a literal: true, false or null.
func (r *reader) takeWord(word string) bool {
	if r.peek() != word[0] || len(r.data)-r.at < len(word) || string(r.data[r.at:r.at+len(word)]) != word {
		return false
	}
	r.at += len(word)
	return true
}

// number consumes a number and returns its text.
func (r *reader) number() ([]byte, bool) {
	start := r.at
	if r.at < len(r.data) && r.data[r.at] == '-' {
		r.at++
	}
	switch {
	case r.at < len(r.data) && r.data[r.at] == '0':
		r.at++
	case !r.digits():
		return nil, false
	}
	if r.at < len(r.data) && r.data[r.at] == '.' {
		r.at++
		if !r.digits() {
			return nil, false
		}
	}
	if r.at < len(r.data) && (r.data[r.at] == 'e' || r.data[r.at] == 'E') {
		r.at++
		if r.at < len(r.data) && (r.data[r.at] == '+' || r.data[r.at] == '-') {
			r.at++
		}
		if !r.digits() {
			return nil, false
		}
	}
	return r.data[start:r.at], true
}

// digits consumes digits; there must be one.
func (r *reader) digits() bool {
	start := r.at
	for r.at < len(r.data) && r.data[r.at] >= '0' && r.data[r.at] <= '9' {
		r.at++
	}
	return r.at > start
}

// text consumes a string, whose opening quote comes next, and returns what it says. The result may be a part of the
// data itself. problem is empty when all was well.
func (r *reader) text() (text []byte, problem DecodeProblem) {
	r.at++
	start := r.at
	isASCII := true
	for r.at < len(r.data) {
		switch c := r.data[r.at]; {
		case c == '"':
			text = r.data[start:r.at]
			if !isASCII && !utf8.Valid(text) {
				r.at = start
				return nil, ProblemInvalidUTF8
			}
			r.at++
			return text, ""
		case c == '\\':
			return r.escapedText(start)
		case c < ' ':
			return nil, ProblemSyntax
		case c >= utf8.RuneSelf:
			isASCII = false
		}
		r.at++
	}
	return nil, ProblemSyntax
}

// escapedText goes on with a string, begun at start, that has an escape at the current place.
func (r *reader) escapedText(start int) (text []byte, problem DecodeProblem) {
	text = append(text, r.data[start:r.at]...)
	for r.at < len(r.data) {
		switch c := r.data[r.at]; {
		case c == '"':
			if !utf8.Valid(text) {
				return nil, ProblemInvalidUTF8
			}
			r.at++
			return text, ""
		case c < ' ':
			return nil, ProblemSyntax
		case c == '\\':
			if text, problem = r.escape(text); problem != "" {
				return nil, problem
			}
		default:
			text = append(text, c)
			r.at++
		}
	}
	return nil, ProblemSyntax
}

// simpleEscapes are those of one letter.
var simpleEscapes = [256]byte{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

func (r *reader) escape(text []byte) ([]byte, DecodeProblem) {
	if r.at+1 >= len(r.data) {
		return nil, ProblemSyntax
	}
	c := r.data[r.at+1]
	if meaning := simpleEscapes[c]; meaning != 0 {
		r.at += 2
		return append(text, meaning), ""
	}
	first, ok := r.unicodeEscape()
	if !ok {
		return nil, ProblemSyntax
	}
	if !utf16.IsSurrogate(first) {
		return utf8.AppendRune(text, first), ""
	}
	// One half of a pair is no character.
	second, ok := r.unicodeEscape()
	if !ok {
		return nil, ProblemInvalidUTF8
	}
	pair := utf16.DecodeRune(first, second)
	if pair == utf8.RuneError {
		return nil, ProblemInvalidUTF8
	}
	return utf8.AppendRune(text, pair), ""
}

// unicodeEscape consumes \uXXXX.
func (r *reader) unicodeEscape() (rune, bool) {
	if len(r.data)-r.at < 6 || r.data[r.at] != '\\' || r.data[r.at+1] != 'u' {
		return 0, false
	}
	var value rune
	for _, c := range r.data[r.at+2 : r.at+6] {
		switch {
		case c >= '0' && c <= '9':
			value = value<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			value = value<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			value = value<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	r.at += 6
	return value, true
}
