package http1_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/proxy/http1"
)

// unframe gives the framing to Next in pieces, and returns what is passed on (nil when the body has not ended), and what is behind it.
func unframe(text []byte, step int, keepsTrailers bool) (kept, rest []byte, err error) {
	c := http1.Chunked{KeepsTrailers: keepsTrailers}
	kept = []byte{}
	for !c.IsDone() {
		if len(text) == 0 {
			return nil, nil, nil
		}
		piece := text[:min(max(step, 1), len(text))]
		keep, skip, err := c.Next(piece)
		if err != nil {
			return nil, nil, err
		}
		kept = append(kept, piece[:keep]...)
		text = text[keep+skip:]
	}
	return kept, text, nil
}

func TestAChunkedBodyIsPassedOnWithoutWhatNobodyNeeds(t *testing.T) {
	const whole = "3;x=\"y\"\r\nabc\r\n0A \t\r\n0123456789\r\n000\r\nX-Sum: 1\r\nY: 2\r\n\r\nGET / HTTP/1.1\r\n"
	for keepsTrailers, want := range map[bool]string{
		false: "3\r\nabc\r\n0A\r\n0123456789\r\n000\r\n\r\n", true: "3\r\nabc\r\n0A\r\n0123456789\r\n000\r\nX-Sum: 1\r\nY: 2\r\n\r\n",
	} {
		for step := 1; step <= len(whole); step++ {
			kept, rest, err := unframe([]byte(whole), step, keepsTrailers)
			if err != nil || string(kept) != want || !bytes.HasPrefix(rest, []byte("GET / HTTP/1.1\r\n")) {
				t.Fatalf("in steps of %d: %q and behind it %q (%v)", step, kept, rest, err)
			}
		}
	}
}

func TestChunksThatTwoReadersCouldReadDifferentlyAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"bare LF after the size":     "3\nabc\r\n0\r\n\r\n",
		"bare LF in an extension":    "3;x\nabc\r\n0\r\n\r\n",
		"bare CR in an extension":    "3;x\ry\r\nabc\r\n0\r\n\r\n",
		"bare LF after the data":     "3\r\nabc\n0\r\n\r\n",
		"data longer than said":      "3\r\nabcd\r\n0\r\n\r\n",
		"no size":                    "\r\nabc\r\n0\r\n\r\n",
		"an extension without size":  ";x\r\n0\r\n\r\n",
		"a size with a sign":         "+3\r\nabc\r\n0\r\n\r\n",
		"a size with a prefix":       "0x3\r\nabc\r\n0\r\n\r\n",
		"a space before the size":    " 3\r\nabc\r\n0\r\n\r\n",
		"a size in two parts":        "3 4\r\nabc\r\n0\r\n\r\n",
		"a size beyond any":          "fffffffffffffffff\r\n",
		"a trailer that is folded":   "0\r\nX: y\r\n z\r\n\r\n",
		"a trailer without a colon":  "0\r\nX\r\n\r\n",
		"a trailer with a bare LF":   "0\r\nX: y\n\r\n",
		"bare LF at the end":         "0\r\n\n",
		"extensions without an end":  "3;" + strings.Repeat("x", 20_000),
		"trailers without an end":    "0\r\n" + strings.Repeat("X: y\r\n", 6_000),
		"a NUL in an extension":      "3;\x00\r\nabc\r\n0\r\n\r\n",
		"a size with leading zeroes": strings.Repeat("0", 20) + "3\r\nabc\r\n0\r\n\r\n",
	} {
		for _, step := range []int{1, len(text)} {
			if kept, _, err := unframe([]byte(text), step, true); err == nil {
				t.Errorf("%s: %.40q is taken as %.40q", name, text, kept)
			}
		}
	}
}
