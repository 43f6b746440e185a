package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/proxy"
)

// hostile is what an app answers, and what must become of it at the client: the status and the body, "cut" for an answer that
// the client sees break off; "or" is between outcomes of which each is safe.
type hostile struct {
	name, answer string
	// thenCloses says that the app closes its connection behind the answer.
	thenCloses bool
	want       string
}

const (
	okay  = "HTTP/1.1 200 OK\r\n"
	extra = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nextra"
)

// answers is the other half of the catalogue: RFC 9112, 6.3 and 11.1; RFC 9110, 15.2.
var answers = []hostile{
	{"a length", okay + "Content-Length: 4\r\n\r\nbody", false, "200 body"},
	{"chunks", okay + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", false, "200 body"},
	{"until it closes", okay + "\r\nbody", true, "200 body"},
	{"two lengths", okay + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody", false, "502"},
	{"two lengths that agree", okay + "Content-Length: 4\r\nContent-Length: 4\r\n\r\nbody", false, "502 or 200 body"},
	{"a list of lengths", okay + "Content-Length: 4, 4\r\n\r\nbody", false, "502 or 200 body"},
	{"a length and chunks", okay + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", false, "502 or 200 body"},
	{"a negative length", okay + "Content-Length: -1\r\n\r\nbody", false, "502"},
	{"a length with a plus", okay + "Content-Length: +4\r\n\r\nbody", false, "502"},
	{"a length in hex", okay + "Content-Length: 0x4\r\n\r\nbody", false, "502"},
	{"a length of 2^64+4", okay + "Content-Length: 18446744073709551620\r\n\r\nbody", false, "502"},
	{"an unknown coding", okay + "Transfer-Encoding: cow\r\n\r\nbody", true, "502"},
	{"chunked in two headers", okay + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", false, "502"},
	{"chunks and 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", true, "502 or 200 body or 200 4\r\nbody\r\n0"},
	{"less than its length", okay + "Content-Length: 5\r\n\r\nbody", true, "cut"},
	{"chunks without an end", okay + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n", true, "cut"},
	{"a chunk that is too short", okay + "Transfer-Encoding: chunked\r\n\r\n5\r\nbody\r\n0\r\n\r\n", true, "cut"},
	{"a chunk size that is none", okay + "Transfer-Encoding: chunked\r\n\r\nx\r\nbody\r\n0\r\n\r\n", false, "cut or 502"},
	{"a chunk size with a minus", okay + "Transfer-Encoding: chunked\r\n\r\n-4\r\nbody\r\n0\r\n\r\n", false, "cut or 502"},
	{"a chunk size of 2^64+4", okay + "Transfer-Encoding: chunked\r\n\r\n10000000000000004\r\nbody\r\n0\r\n\r\n", false, "cut or 502"},
	{"more than its length", okay + "Content-Length: 4\r\n\r\nbody" + extra, false, "200 body"},
	{"more than its chunks", okay + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n" + extra, false, "200 body"},
	{"a body where none is allowed", "HTTP/1.1 204 No Content\r\nContent-Length: 60\r\n\r\n" + extra, false, "204 or 502"},
	{"chunks where none are allowed", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n" + extra, false, "204 or 502"},
	{"a body of what was not modified", "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nbody" + extra, false, "304"},
	{"lines with bare LF", "HTTP/1.1 200 OK\nContent-Length: 4\n\nbody", false, "502 or 200 body"},
	{"a header with a bare CR", okay + "X-A: b\rContent-Length: 100\r\nContent-Length: 4\r\n\r\nbody", false, "502"},
	{"a header with a NUL", okay + "X-A: b\x00\r\nContent-Length: 4\r\n\r\nbody", false, "502"},
	{"a folded header", okay + "X-A: b\r\n Content-Length: 100\r\nContent-Length: 4\r\n\r\nbody", false, "502 or 200 body"},
	{"a space before the colon", okay + "Content-Length : 4\r\n\r\nbody", true, "502 or 200 body"},
	{"no colon", okay + "Content-Length\r\n\r\nbody", true, "502"},
	{"a header of 300 KiB", okay + "X-A: " + strings.Repeat("a", 300<<10) + "\r\nContent-Length: 4\r\n\r\nbody", false, "502"},
	{"headers without end", okay + strings.Repeat("X-A: aaaaaaaaaaaaaaaaaaaaaaaa\r\n", 20_000), false, "502"},
	{"a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 4\r\n\r\nbody", false, "502"},
	{"a status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 4\r\n\r\nbody", false, "502"},
	{"a negative status", "HTTP/1.1 -20 OK\r\nContent-Length: 4\r\n\r\nbody", false, "502"},
	{"a status of zeros", "HTTP/1.1 000 OK\r\nContent-Length: 4\r\n\r\nbody", false, "502"},
	{"a status of letters", "HTTP/1.1 abc OK\r\nContent-Length: 4\r\n\r\nbody", false, "502"},
	{"a status of its own", "HTTP/1.1 799 Odd\r\nContent-Length: 4\r\n\r\nbody", false, "502 or 799 body"},
	{"no reason", "HTTP/1.1 200\r\nContent-Length: 4\r\n\r\nbody", false, "200 body"},
	{"a reason with a bare CR", "HTTP/1.1 200 O\rK\r\nContent-Length: 4\r\n\r\nbody", false, "502 or 200 body"},
	{"another protocol", "ICY 200 OK\r\n\r\nbody", true, "502"},
	{"HTTP/2", "HTTP/2.0 200 OK\r\nContent-Length: 4\r\n\r\nbody", false, "502 or 200 body"},
	{"HTTP/0.9", "body", true, "502"},
	{"nothing", "", true, "502"},
	{"half a head", "HTTP/1.1 200 OK\r\nContent-Le", true, "502"},
	{"empty lines before", "\r\n\r\n" + okay + "Content-Length: 4\r\n\r\nbody", false, "502 or 200 body"},
	{"interim answers", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + okay + "Content-Length: 4\r\n\r\nbody", false, "200 body"},
	{"an interim answer with a length", "HTTP/1.1 103 Early Hints\r\nContent-Length: 4\r\n\r\n" + okay + "Content-Length: 4\r\n\r\nbody", false, "200 body or 502"},
	{"an interim answer in chunks", "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n" + okay + "Content-Length: 4\r\n\r\nbody", false, "200 body or 502"},
	{"an interim answer alone", "HTTP/1.1 103 Early Hints\r\n\r\n", true, "502"},
	{"interim answers without end", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 20_000), false, "502"},
	{"a switch that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + extra, false, "502"},
	{"the last of its connection", okay + "Connection: close\r\nContent-Length: 4\r\n\r\nbody" + extra, false, "200 body"},
	{"Connection names the length", okay + "Connection: Content-Length\r\nContent-Length: 4\r\n\r\nbody", false, "200 body"},
	{"trailers that frame", okay + "Trailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nContent-Length: 100\r\n\r\n", false, "200 body or 502 or cut"},
}

// TestAHostileAppHarmsItsOwnAnswerAtMost has an app answer each case, and a client ask twice by one connection: what comes
// after the case must be the answer to what the client asked then.
func TestAHostileAppHarmsItsOwnAnswerAtMost(t *testing.T) {
	onEachRoad(t, proxy.Config{}, func(t *testing.T, p *running) {
		for _, each := range answers {
			p.serve(wired(t, func(conn net.Conn) { answerAs(conn, each) }))
			for _, method := range []string{"GET", "POST"} { // by a kept connection, and by a new one
				if got := p.askTwice(t, method); !slices.Contains(strings.Split(each.want, " or "), got) {
					t.Errorf("%s to %s: the client has %.200q, want %q", each.name, method, got, each.want)
				}
			}
		}
	})
}

// answerAs answers requests with their targets, and the one for /hostile with the case.
func answerAs(conn net.Conn, as hostile) {
	for reader := bufio.NewReader(conn); ; {
		_, target, err := readStrictly(reader, conn)
		if err != nil {
			return
		}
		if target != "/hostile" {
			fmt.Fprintf(conn, "%sContent-Length: %d\r\n\r\n%s", okay, len(target), target)
			continue
		}
		io.WriteString(conn, as.answer)
		if as.thenCloses {
			return
		}
	}
}

// askTwice asks for /before, /hostile and /after, and tells what came for the second.
func (p *running) askTwice(t *testing.T, method string) (got string) {
	t.Helper()
	conn := p.dial(t)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	reader := bufio.NewReader(conn)
	for _, path := range []string{"/before", "/hostile", "/after"} {
		fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\n\r\n", method, path, host)
		response, body, err := readAnswer(reader, method)
		switch {
		case path == "/hostile" && err != nil:
			return "cut"
		case path == "/hostile" && response.StatusCode == http.StatusBadGateway:
			got = "502"
		case path == "/hostile":
			got = strings.TrimSpace(fmt.Sprintf("%d %s", response.StatusCode, body))
		case err != nil:
			return fmt.Sprintf("%s, and the connection ends: %v", got, err)
		case body != path:
			return fmt.Sprintf("%s, and %q for %s", got, body, path)
		}
		if response.Close {
			break
		}
	}
	return got
}
