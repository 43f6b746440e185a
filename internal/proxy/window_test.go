package proxy

import (
	"fmt"
	"strings"
	"testing"
)

// windowOf has read the text.
func windowOf(text string) *window {
	return &window{buffer: []byte(text), to: len(text)}
}

func TestWhatIsLeftOutOfABodyIsClosedUp(t *testing.T) {
	var in, want strings.Builder
	for i := range 500 {
		data := strings.Repeat("d", i%17+1)
		fmt.Fprintf(&in, "%x%s\r\n%s\r\n", len(data), []string{"", ";", ";a=b", " "}[i%4], data)
		fmt.Fprintf(&want, "%x\r\n%s\r\n", len(data), data)
	}
	in.WriteString("0\r\nX: y\r\n\r\n")
	want.WriteString("0\r\n\r\n")
	const next = "GET / HTTP/1.1\r\n"
	for cut := 0; cut <= in.Len(); cut += 7 {
		w, body := windowOf(in.String()+next), framing{kind: framedByChunks}
		all := w.to
		w.to = cut // comes first
		if err := w.frame(&body); err != nil {
			t.Fatal(err)
		}
		w.to += copy(w.buffer[w.to:], w.buffer[cut:all])
		if err := w.frame(&body); err != nil {
			t.Fatal(err)
		}
		if got := string(w.buffer[:w.mid]); got != want.String() || !body.isDone || string(w.buffer[w.mid:w.to]) != next {
			t.Fatalf("cut at %d: %q, and behind it %q", cut, got, w.buffer[w.mid:w.to])
		}
	}
}

// Extensions of chunks cost little, however many there are: each byte is moved once.
func BenchmarkExtensions(b *testing.B) {
	text := strings.Repeat("1;\r\nx\r\n", largeBuffer/7)
	w := windowOf(strings.Clone(text))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		copy(w.buffer, text)
		w.from, w.mid, w.to = 0, 0, len(text)
		if err := w.frame(&framing{kind: framedByChunks}); err != nil {
			b.Fatal(err)
		}
	}
}
