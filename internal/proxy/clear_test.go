package proxy_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
)

// byFrames sends a request by HTTP/2, whose fields no library has looked at, and returns the status of its answer; "reset" where the stream
// was refused.
func (p *running) byFrames(t *testing.T, fields ...[2]string) (status string) {
	t.Helper()
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	var head bytes.Buffer
	encoder := hpack.NewEncoder(&head)
	for _, field := range fields {
		_ = encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}) // a buffer takes everything
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head.Bytes(), EndHeaders: true, EndStream: true}); err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatalf("%q is not answered: %v", fields, err)
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			return frame.PseudoValue("status")
		case *http2.RSTStreamFrame:
			return "reset"
		}
	}
}

// What HTTP/1.1 cannot say without doubt, no client may say by HTTP/2 either: the app would get it by HTTP/1.1.
func TestARequestThatCannotBePassedOnWithoutDoubtIsRefusedInEachProtocol(t *testing.T) {
	p := start(t, proxy.Config{})
	heads := make(chan string, 100)
	p.serve(treated(platform.Traffic{PathRules: []platform.PathRule{{Prefix: "/admin", Action: platform.PathActionDeny}}}, rawBackend(t, func(conn net.Conn) {
		heads <- readHead(conn)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})))
	request := func(method, path, authority string, more ...[2]string) [][2]string {
		head := [][2]string{{":method", method}, {":scheme", "http"}, {":path", path}}
		if authority != "" {
			head = append(head, [2]string{":authority", authority})
		}
		return append(head, more...)
	}
	for name, fields := range map[string][][2]string{
		"another request line":            request("GET /admin HTTP/1.1", "/", "app.test"),
		"a blank in the path":             request("GET", "/ HTTP/1.0", "app.test"),
		"a path of a URL without a host":  request("GET", "http:///admin", "app.test"),
		"a path of an unknown URL":        request("GET", "x:/admin", "app.test"),
		"a URL instead of a path":         request("GET", "http://app.test/", "app.test"),
		"a star that is asked for":        request("GET", "*", "app.test"),
		"a host behind a port":            request("GET", "/", "app.test:80@evil.test"),
		"another host behind the port":    request("GET", "/", "app.test: evil.test"),
		"two hosts":                       request("GET", "/", "app.test", [2]string{"host", "evil.test"}),
		"two hosts without an authority":  request("GET", "/", "", [2]string{"host", "app.test"}, [2]string{"host", "evil.test"}),
		"a length in disguise":            request("GET", "/", "app.test", [2]string{"content_length", "5"}),
		"a coding in disguise":            request("GET", "/", "app.test", [2]string{"transfer_encoding", "chunked"}),
		"a path that is denied":           request("GET", "/admin", "app.test"),
		"a path that is denied, in a URL": request("GET", "http://evil.test/admin", "app.test"),
	} {
		if status := p.byFrames(t, fields...); status != "400" && status != "reset" && (status != "403" || !strings.HasPrefix(name, "a path that is denied")) {
			t.Errorf("%s is answered %s", name, status)
		}
	}
	if len(heads) > 0 {
		t.Errorf("the app got %q", <-heads)
	}
	for name, fields := range map[string][][2]string{
		"the usual":         request("GET", "/a?b=c", "app.test:80"),
		"a host alone":      request("GET", "/a", "", [2]string{"host", "app.test"}),
		"the same twice":    request("GET", "/a", "app.test", [2]string{"host", "app.test"}),
		"a star":            request("OPTIONS", "*", "app.test"),
		"a word of its own": request("PURGE", "/a", "app.test", [2]string{"x_y", "z"}),
	} {
		if status := p.byFrames(t, fields...); status != "200" {
			t.Errorf("%s is answered %s", name, status)
			continue
		}
		if head := <-heads; strings.Count(head, "\r\nHost: ") != 1 {
			t.Errorf("of %s the app got %q", name, head)
		}
	}
	for _, target := range []string{"http:///admin", "HTTPS:///admin"} {
		if answer := p.raw(t, "GET "+target+" HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 400 ") {
			t.Errorf("%s is answered %q", target, answer)
		}
	}
}
