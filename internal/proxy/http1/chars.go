package http1

// What a byte may be part of.
const (
	inToken  = 1 << iota // a name or a method (RFC 9110, 5.6.2)
	inValue              // the value of a field: everything but controls
	inTarget             // the target of a request
	inHost               // a Host field, as net/http has it
)

var chars = func() (table [256]uint8) {
	for i := range table {
		c := byte(i)
		isLetterOrDigit := c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
		if isLetterOrDigit || has("!#$%&'*+-.^_`|~", c) {
			table[i] |= inToken
		}
		if c >= 0x20 && c != 0x7f || c == '\t' {
			table[i] |= inValue
		}
		if c > 0x20 && c != 0x7f {
			table[i] |= inTarget
		}
		if isLetterOrDigit || has("!$%&'()*+,-.:;=[]_~", c) {
			table[i] |= inHost
		}
	}
	return table
}()

func has(set string, c byte) bool {
	for i := range len(set) {
		if set[i] == c {
			return true
		}
	}
	return false
}

func areAll(p []byte, class uint8) bool {
	for _, c := range p {
		if chars[c]&class == 0 {
			return false
		}
	}
	return true
}

func isToken(p []byte) bool { return len(p) > 0 && areAll(p, inToken) }

func isValue(p []byte) bool { return areAll(p, inValue) }

// EqualFold compares with a word in lower case.
func EqualFold(p []byte, word string) bool {
	if len(p) != len(word) {
		return false
	}
	for i, c := range p {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// equalLoose is EqualFold for those who take "_" for "-", as the many servers that hand fields on as variables.
func equalLoose(p []byte, word string) bool {
	if len(p) != len(word) {
		return false
	}
	for i, c := range p {
		switch {
		case c >= 'A' && c <= 'Z':
			c |= 0x20
		case c == '_':
			c = '-'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}
