package proxy_test

import (
	"bufio"
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
)

func TestAnswersAreCompressedWhereThatIsWanted(t *testing.T) {
	const long = 5000
	body := strings.Repeat("all work and no play ", long/20)[:long]
	tests := map[string]struct {
		accept string
		// header is the answer's, of long bytes; small, chunked and status say what is not usual about it.
		header           map[string]string
		small, isChunked bool
		status           int
		method           string
		// want is what the client gets of Content-Encoding, Vary and Etag.
		want [3]string
	}{
		"a text":                          {"gzip, deflate, br", map[string]string{"Content-Type": "text/html; charset=utf-8"}, false, false, 200, "GET", [3]string{"gzip", "Accept-Encoding", ""}},
		"JSON with a tag":                 {"br;q=1, gzip;q=0.1", map[string]string{"Content-Type": "application/problem+json", "Etag": `"1"`, "Accept-Ranges": "bytes"}, false, false, 200, "GET", [3]string{"gzip", "Accept-Encoding", `W/"1"`}},
		"of unknown length":               {"*", map[string]string{"Content-Type": "text/css", "Vary": "Origin", "Etag": `W/"2"`}, false, true, 404, "GET", [3]string{"gzip", "Origin|Accept-Encoding", `W/"2"`}},
		"a head":                          {"gzip", map[string]string{"Content-Type": "text/css", "Etag": `"3"`}, false, false, 200, "HEAD", [3]string{"gzip", "Accept-Encoding", `W/"3"`}},
		"for a client without":            {"br", map[string]string{"Content-Type": "text/css", "Etag": `"4"`}, false, false, 200, "GET", [3]string{"", "Accept-Encoding", `"4"`}},
		"for one that refuses it":         {"gzip;q=0, *", map[string]string{"Content-Type": "text/css"}, false, false, 200, "GET", [3]string{"", "Accept-Encoding", ""}},
		"what depends on that already":    {"", map[string]string{"Content-Type": "text/css", "Vary": "accept-encoding"}, false, false, 200, "GET", [3]string{"", "accept-encoding", ""}},
		"a picture":                       {"gzip", map[string]string{"Content-Type": "image/png"}, false, false, 200, "GET", [3]string{}},
		"a small one":                     {"gzip", map[string]string{"Content-Type": "text/css"}, true, false, 200, "GET", [3]string{}},
		"compressed by the app":           {"gzip", map[string]string{"Content-Type": "text/css", "Content-Encoding": "br"}, false, false, 200, "GET", [3]string{"br", "", ""}},
		"a part":                          {"gzip", map[string]string{"Content-Type": "text/css", "Content-Range": "bytes 0-4999/9000"}, false, false, 206, "GET", [3]string{}},
		"what nobody may change":          {"gzip", map[string]string{"Content-Type": "text/css", "Cache-Control": "public, no-transform"}, false, false, 200, "GET", [3]string{}},
		"what has a sum of its form":      {"gzip", map[string]string{"Content-Type": "text/css", "Repr-Digest": "sha-256=:x:"}, false, false, 200, "GET", [3]string{}},
		"a call of gRPC":                  {"gzip", map[string]string{"Content-Type": "application/grpc+json"}, false, true, 200, "GET", [3]string{}},
		"what has a sum of its own bytes": {"gzip", map[string]string{"Content-Type": "text/css", "Content-Digest": "sha-256=:x:"}, false, false, 200, "GET", [3]string{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			sent := body
			if test.small {
				sent = body[:1000]
			}
			p := start(t, proxy.Config{})
			p.serve(treated(platform.Traffic{Compresses: true}, backend(t, func(w http.ResponseWriter, _ *http.Request) {
				for name, value := range test.header {
					w.Header().Set(name, value)
				}
				if !test.isChunked {
					w.Header().Set("Content-Length", strconv.Itoa(len(sent)))
				}
				w.WriteHeader(test.status)
				for _, piece := range []string{sent[:100], sent[100:]} {
					io.WriteString(w, piece)
					if test.isChunked {
						_ = http.NewResponseController(w).Flush()
					}
				}
			})))
			request, err := http.NewRequest(test.method, "http://app.test/", nil)
			if err != nil {
				t.Fatal(err)
			}
			if test.accept != "" {
				request.Header.Set("Accept-Encoding", test.accept)
			}
			response, got := p.do(t, request)
			seen := [3]string{response.Header.Get("Content-Encoding"), strings.Join(response.Header["Vary"], "|"), response.Header.Get("Etag")}
			if diff := cmp.Diff(test.want, seen); diff != "" || response.StatusCode != test.status {
				t.Errorf("%s, headers (-want +got):\n%s", response.Status, diff)
			}
			if test.method == "HEAD" {
				return
			}
			if test.want[0] == "gzip" {
				if len(got) > len(sent)/2 || response.Header.Get("Accept-Ranges") != "" {
					t.Errorf("%d bytes of %d came, with %v", len(got), len(sent), response.Header)
				}
				reader, err := gzip.NewReader(strings.NewReader(got))
				if err != nil {
					t.Fatal(err)
				}
				plain, err := io.ReadAll(reader)
				if err != nil {
					t.Fatal(err)
				}
				got = string(plain)
			}
			if got != sent {
				t.Errorf("%d bytes came, of %d that are others", len(got), len(sent))
			}
		})
	}
}

// A client that has the compressed form asks by its tag, which the app knows in another form.
func TestWhatIsNotModifiedHasTheTagThatTheClientKnows(t *testing.T) {
	p := start(t, proxy.Config{})
	p.serve(treated(platform.Traffic{Compresses: true}, backend(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Etag", `"1"`)
		w.WriteHeader(http.StatusNotModified)
	})))
	for known, want := range map[string][2]string{
		`W/"1"`: {`W/"1"`, "Accept-Encoding"}, `"0", W/"1"`: {`W/"1"`, "Accept-Encoding"}, `"1"`: {`"1"`, ""}, `"1", W/"1"`: {`"1"`, ""}, "*": {`"1"`, ""},
	} {
		request, err := http.NewRequest("GET", "http://app.test/", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("If-None-Match", known)
		request.Header.Set("Accept-Encoding", "gzip")
		response, _ := p.do(t, request)
		if got := [2]string{response.Header.Get("Etag"), response.Header.Get("Vary")}; got != want || response.StatusCode != 304 {
			t.Errorf("who has %s gets %s with %q, want %q", known, response.Status, got, want)
		}
	}
}

func TestEventsAreCompressedOneByOne(t *testing.T) {
	p, next := start(t, proxy.Config{}), make(chan struct{})
	p.serve(treated(platform.Traffic{Compresses: true}, backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			io.WriteString(w, "data: "+strconv.Itoa(i)+"\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
			case <-time.After(20 * time.Second):
			}
		}
	})))
	request, err := http.NewRequest("GET", "http://app.test/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept-Encoding", "gzip")
	response, err := p.client(t).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	plain, err := gzip.NewReader(response.Body)
	if err != nil || response.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("%v, %v", response.Header, err)
	}
	lines := bufio.NewReader(plain)
	for i := range 3 {
		if line, err := lines.ReadString('\n'); line != "data: "+strconv.Itoa(i)+"\n" {
			t.Fatalf("event %d is %q, %v", i, line, err)
		}
		next <- struct{}{} // the app goes on only when the client has read
	}
	if rest, err := lines.ReadString(0); rest != "" || err != io.EOF {
		t.Errorf("at the end came %q, %v", rest, err)
	}
}

func TestACompressedAnswerThatIsCutShortDoesNotLookWhole(t *testing.T) {
	p := start(t, proxy.Config{})
	p.serve(treated(platform.Traffic{Compresses: true}, backend(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", "100000")
		io.WriteString(w, strings.Repeat("half", 5000))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})))
	request, err := http.NewRequest("GET", "http://app.test/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept-Encoding", "gzip")
	response, err := p.client(t).Do(request)
	if err != nil {
		return // it was cut before its head was sent
	}
	defer response.Body.Close()
	if _, err := io.ReadAll(response.Body); err == nil {
		t.Error("the client takes it for whole")
	}
}
