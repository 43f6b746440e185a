package http1_test

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/proxy/http1"
)

func TestAnAnswerIsReadWithTheHabitsOfOldServers(t *testing.T) {
	for text, want := range map[string]struct {
		status        int
		reason, value string
	}{
		"HTTP/1.1 200 OK\r\nX: a\r\n\r\n":               {200, "OK", "a"},
		"HTTP/1.1 404 Not Found\nX: a\n\n":              {404, "Not Found", "a"},
		"HTTP/1.0 200\r\nX: a\r\n b\r\n\tc\r\n\r\n":     {200, "", "a   b  \tc"},
		"HTTP/1.1 200 \r\nY: b\r\nX:a\r\nZ: c\r\n\r\n":  {200, "", "a"},
		"HTTP/1.1 299 \xe4h\r\nX: a b\r\nX: c\r\n\r\n.": {299, "\xe4h", "a b"},
	} {
		end, _ := http1.ScanResponse([]byte(text), 0)
		var r http1.Response
		if err := r.Parse([]byte(text), end); err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		buffer := []byte(text)
		if err := r.Parse(buffer, end); err != nil || r.Status != want.status || string(r.Bytes(r.Reason)) != want.reason {
			t.Errorf("%q: %d %q (%v)", text, r.Status, r.Bytes(r.Reason), err)
		}
		for i := range r.Fields {
			if f := &r.Fields[i]; string(r.Bytes(f.Name)) == "X" {
				if got := string(r.Bytes(f.Value)); got != want.value {
					t.Errorf("%q: X is %q, want %q", text, got, want.value)
				}
				break
			}
		}
	}
}

func TestWhatIsNoAnswerIsRefused(t *testing.T) {
	for _, text := range []string{
		"HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000\r\n\r\n", "HTTP/1.1 099 X\r\n\r\n", "ICY 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 200 OK\r\nX\r\n\r\n", "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
		"HTTP/1.1 200 OK\r\nConnection: " + strings.Repeat("a,", 33) + "\r\n\r\n", " HTTP/1.1 200\r\n\r\n",
	} {
		end, _ := http1.ScanResponse([]byte(text), 0)
		var r http1.Response
		if err := r.Parse([]byte(text), end); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// FuzzResponse holds against net/http what is taken: the same status and length.
func FuzzResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"))
	f.Add([]byte("HTTP/1.0 404 Not Found\nX: a\n b\n\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, message []byte) {
		end, _ := http1.ScanResponse(message, 0)
		var r http1.Response
		if end == 0 || r.Parse(bytes.Clone(message), end) != nil {
			return
		}
		other, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(message)), &http.Request{Method: http.MethodGet})
		if err != nil {
			return // it takes less in places, such as names of fields
		}
		if other.StatusCode != r.Status {
			t.Fatalf("the status is %d, to net/http %d", r.Status, other.StatusCode)
		}
		hasBody := r.Status >= 200 && r.Status != 204 && r.Status != 304
		if isChunked := len(other.TransferEncoding) > 0; hasBody && r.Minor == 1 && (isChunked != r.IsChunked || r.HasLength && other.ContentLength != r.Length) {
			t.Fatalf("length %d, chunked %v, to net/http %d, %v", r.Length, r.IsChunked, other.ContentLength, isChunked)
		}
	})
}
