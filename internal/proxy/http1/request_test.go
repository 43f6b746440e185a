package http1_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/proxy/http1"
)

// parse reads a request that is complete.
func parse(t *testing.T, text string) (*http1.Request, error) {
	t.Helper()
	end, _, err := http1.Scan([]byte(text), 0)
	if err != nil {
		return nil, err
	}
	if end == 0 {
		t.Fatalf("%q has no end", text)
	}
	r := &http1.Request{}
	return r, r.Parse([]byte(text), end)
}

func TestARequestIsReadAsItWasWritten(t *testing.T) {
	r, err := parse(t, "POST /a%20b?q=% HTTP/1.1\r\nhOst: app.test:80\r\nX-Empty:\r\nX-Text: \t a b\x80 \r\nContent-Length: 012\r\nConnection: Close, X-Text\r\n\r\nbody")
	if err != nil {
		t.Fatal(err)
	}
	text := func(s http1.Span) string { return string(r.Bytes(s)) }
	if text(r.Method) != "POST" || text(r.Target) != "/a%20b?q=%" || text(r.Host) != "app.test:80" || r.Minor != 1 || r.IsUnusual {
		t.Errorf("read %q %q %q, minor %d, unusual %v", text(r.Method), text(r.Target), text(r.Host), r.Minor, r.IsUnusual)
	}
	if !r.HasLength || r.Length != 12 || r.IsChunked || !r.SaysClose || !r.NamesFields {
		t.Errorf("read %+v", r)
	}
	want := []struct {
		name, value string
		isHopByHop  bool
	}{{"hOst", "app.test:80", false}, {"X-Empty", "", false}, {"X-Text", "a b\x80", true}, {"Content-Length", "012", false}, {"Connection", "Close, X-Text", true}}
	for i, each := range want {
		f := &r.Fields[i]
		if text(f.Name) != each.name || text(f.Value) != each.value || r.IsHopByHop(f) != each.isHopByHop {
			t.Errorf("field %d is %q: %q, hop by hop %v", i, text(f.Name), text(f.Value), r.IsHopByHop(f))
		}
	}
}

func TestRequestsThatTwoReadersCouldReadDifferentlyAreRefused(t *testing.T) {
	const host = "Host: a\r\n"
	for name, text := range map[string]string{
		"bare LF in the first line":    "GET / HTTP/1.1\n" + host + "\r\n",
		"bare LF in a header":          "GET / HTTP/1.1\r\nHost: a\n\r\n",
		"bare LF at the end":           "GET / HTTP/1.1\r\nHost: a\r\n\n",
		"bare CR in a value":           "GET / HTTP/1.1\r\n" + host + "X: a\rb\r\n\r\n",
		"NUL in a value":               "GET / HTTP/1.1\r\n" + host + "X: a\x00b\r\n\r\n",
		"a folded line":                "GET / HTTP/1.1\r\n" + host + "X: a\r\n b\r\n\r\n",
		"a folded first line":          "GET / HTTP/1.1\r\n " + host + "\r\n",
		"a space before the colon":     "GET / HTTP/1.1\r\n" + host + "Content-Length : 5\r\n\r\n",
		"no colon":                     "GET / HTTP/1.1\r\n" + host + "X\r\n\r\n",
		"no name":                      "GET / HTTP/1.1\r\n" + host + ": x\r\n\r\n",
		"an odd name":                  "GET / HTTP/1.1\r\n" + host + "Transfer\x0bEncoding: chunked\r\n\r\n",
		"length and coding":            "POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		"two lengths":                  "POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
		"a length twice":               "POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
		"a disguised length":           "POST / HTTP/1.1\r\n" + host + "Content_Length: 5\r\n\r\n",
		"a disguised coding":           "POST / HTTP/1.1\r\n" + host + "Transfer_Encoding: chunked\r\n\r\n",
		"a host with two ports":        "GET / HTTP/1.1\r\nHost: a:80:90\r\n\r\n",
		"a list of lengths":            "POST / HTTP/1.1\r\n" + host + "Content-Length: 5, 5\r\n\r\n",
		"a signed length":              "POST / HTTP/1.1\r\n" + host + "Content-Length: +5\r\n\r\n",
		"a hexadecimal length":         "POST / HTTP/1.1\r\n" + host + "Content-Length: 0x5\r\n\r\n",
		"an empty length":              "POST / HTTP/1.1\r\n" + host + "Content-Length:\r\n\r\n",
		"a length beyond any":          "POST / HTTP/1.1\r\n" + host + "Content-Length: 99999999999999999999\r\n\r\n",
		"another coding":               "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n",
		"a coding that looks like one": "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: xchunked\r\n\r\n",
		"a quoted coding":              "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: \"chunked\"\r\n\r\n",
		"chunked twice":                "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
		"chunked and identity":         "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
		"chunked in HTTP/1.0":          "POST / HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n",
		"no host":                      "GET / HTTP/1.1\r\nX: y\r\n\r\n",
		"two hosts":                    "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
		"a host with a path":           "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
		"no version":                   "GET /\r\n" + host + "\r\n",
		"an odd version":               "GET / HTTP/1.1 \r\n" + host + "\r\n",
		"a space in the target":        "GET /a b HTTP/1.1\r\n" + host + "\r\n",
		"a control in the target":      "GET /a\x01 HTTP/1.1\r\n" + host + "\r\n",
		"a broken escape":              "GET /%zz HTTP/1.1\r\n" + host + "\r\n",
		"an odd method":                "G(T / HTTP/1.1\r\n" + host + "\r\n",
		"a long Connection":            "GET / HTTP/1.1\r\n" + host + "Connection: " + strings.Repeat(",", 33) + "\r\n\r\n",
		"many Connections":             "GET / HTTP/1.1\r\n" + host + strings.Repeat("Connection: a\r\n", 33) + "\r\n",
		"an empty line before":         "\r\nGET / HTTP/1.1\r\n" + host + "\r\n",
	} {
		if _, err := parse(t, text); err == nil {
			t.Errorf("%s: %q is taken", name, text)
		}
	}
}

func TestWhatIsWellFormedAndUnusualIsLeftToOthers(t *testing.T) {
	for _, text := range []string{
		"GET / HTTP/1.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: " + strings.Repeat("a", 301) + "\r\n\r\n",
	} {
		if r, err := parse(t, text); err != nil || !r.IsUnusual {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAHeadIsFoundHoweverItArrives(t *testing.T) {
	const head = "GET / HTTP/1.1\r\nHost: app.test\r\nX: y\r\n\r\n"
	for step := range len(head) - 1 {
		next := 0
		for n := step + 1; ; n = min(n+step+1, len(head)) {
			end, to, err := http1.Scan([]byte(head[:n]), next)
			if next = to; err != nil || (end != 0) != (n == len(head)) {
				t.Fatalf("after %d bytes in steps of %d: end %d, %v", n, step+1, end, err)
			}
			if end != 0 {
				break
			}
		}
	}
}

// FuzzRequest holds against net/http what is taken: the same request, with the same body, and the same rest behind it.
func FuzzRequest(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\nrest"))
	f.Add([]byte("POST /x?y HTTP/1.1\r\nHost: a:1\r\nContent-Length: 3\r\nA-B: c\r\n\r\nabcGET"))
	f.Add([]byte("POST / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n10 \r\n0123456789abcdef\r\n0\r\nX: y\r\n\r\nrest"))
	f.Add([]byte("PUT /%41 HTTP/1.1\r\nHost:\r\nConnection: close, a\r\n\r\n"))
	f.Fuzz(func(t *testing.T, message []byte) {
		end, _, err := http1.Scan(message, 0)
		var r http1.Request
		if err != nil || end == 0 || r.Parse(message, end) != nil || r.IsUnusual {
			return
		}
		reader := bufio.NewReader(bytes.NewReader(message))
		other, err := http.ReadRequest(reader)
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", message, err)
		}
		if other.Method != string(r.Bytes(r.Method)) || other.RequestURI != string(r.Bytes(r.Target)) || other.Host != string(r.Bytes(r.Host)) {
			t.Fatalf("net/http reads %s %s %s", other.Method, other.RequestURI, other.Host)
		}
		if isChunked := len(other.TransferEncoding) > 0; isChunked != r.IsChunked || !isChunked && other.ContentLength != r.Length {
			t.Fatalf("net/http reads the length %d, chunked %v", other.ContentLength, isChunked)
		}
		for i := range r.Fields {
			f := &r.Fields[i]
			name, value := string(r.Bytes(f.Name)), string(r.Bytes(f.Value))
			if values := other.Header.Values(name); f.Kind == http1.Other && !contains(values, value) {
				t.Fatalf("net/http reads %s: %q, want %q among it", name, values, value)
			}
		}
		body, bodyErr := io.ReadAll(other.Body)
		got, rest, isWhole := body1(&r, message)
		if !isWhole {
			return
		}
		if bodyErr != nil || !bytes.Equal(got, body) {
			t.Fatalf("the body is %q, to net/http %q (%v)", got, body, bodyErr)
		}
		if behind, _ := io.ReadAll(reader); !bytes.Equal(behind, rest) {
			t.Fatalf("behind it is %q, to net/http %q", rest, behind)
		}
	})
}

func contains(values []string, value string) bool {
	for _, each := range values {
		if strings.TrimSpace(each) == strings.TrimSpace(value) {
			return true
		}
	}
	return false
}

// body1 is the body as this package frames it, without its framing, and what is behind it.
func body1(r *http1.Request, message []byte) (body, rest []byte, isWhole bool) {
	rest = bytes.Clone(message[r.End:])
	if !r.IsChunked {
		if int64(len(rest)) < r.Length {
			return nil, nil, false
		}
		return rest[:r.Length], rest[r.Length:], true
	}
	framed, rest, err := unframe(rest, len(rest), false)
	if err != nil || framed == nil {
		return nil, nil, false
	}
	// What is passed on has no extensions and no trailers, so that any reader of chunks will do.
	request, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), bytes.NewReader(framed))))
	if err != nil {
		return nil, nil, false
	}
	body, err = io.ReadAll(request.Body)
	return body, rest, err == nil
}
