package proxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
	"github.com/apron-run/apron/test/websocket"
)

// socketed is an app that does with each WebSocket what a test says, and closes it.
func socketed(t testing.TB, serve func(conn *net.TCPConn, reader *bufio.Reader)) platform.Endpoint {
	return wired(t, func(conn net.Conn) {
		answer, reader, err := accept(conn)
		if err != nil {
			return
		}
		io.WriteString(conn, answer)
		serve(conn.(*net.TCPConn), reader)
	})
}

// accept reads a handshake and returns the answer to it, and what reads behind it.
func accept(conn net.Conn) (answer string, reader *bufio.Reader, err error) {
	reader = bufio.NewReader(conn)
	request, err := http.ReadRequest(reader)
	if err != nil {
		return "", nil, err
	}
	return websocket.Answer(request.Header.Get("Sec-WebSocket-Key")), reader, nil
}

// open opens a WebSocket. What comes behind the handshake is sent with it.
func (p *running) open(t testing.TB, behind string) (*net.TCPConn, *bufio.Reader) {
	t.Helper()
	conn := p.dial(t)
	reader, err := websocket.Open(conn, host, "/socket", behind)
	if err != nil {
		t.Fatal(err)
	}
	return conn, reader
}

// conversations are what a WebSocket may carry, and what it may not: a proxy leaves it to both sides to judge.
func conversations() map[string][]byte {
	all := map[string][]byte{
		"a ping, and an answer to none": slices.Concat(websocket.Frame(websocket.Ping, []byte("are you there"), true), websocket.Frame(websocket.Pong, nil, true)),
		"fragments with a ping between": slices.Concat(websocket.Frame(websocket.Text&^websocket.Fin, []byte("one "), true), websocket.Frame(websocket.Ping, []byte("?"), true),
			websocket.Frame(websocket.Continued&^websocket.Fin, nil, true), websocket.Frame(websocket.Continued, []byte("message"), true)),
		"a compressed message":                websocket.Frame(websocket.Text|0x40, []byte{0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00}, true),
		"reserved bits":                       websocket.Frame(websocket.Text|0x30, []byte("bits"), true),
		"reserved opcodes":                    slices.Concat(websocket.Frame(0x83, []byte("a"), true), websocket.Frame(0x8f, []byte("b"), true)),
		"a frame that is not masked":          websocket.Frame(websocket.Text, []byte("bare"), false),
		"text that is none":                   websocket.Frame(websocket.Text, []byte{0xce, 0xba, 0xe1, 0xbd, 0xb9, 0xcf, 0x83, 0xed, 0xa0, 0x80}, true),
		"a ping that is too long":             websocket.Frame(websocket.Ping, make([]byte, 126), true),
		"a ping in fragments":                 websocket.Frame(websocket.Ping&^websocket.Fin, []byte("p"), true),
		"a continuation of nothing":           websocket.Frame(websocket.Continued, []byte("c"), true),
		"a length that is longer than needed": {websocket.Binary, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 'x'},
		"a length of 2^63":                    append([]byte{websocket.Binary, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 5000)...),
		"half a frame":                        websocket.Frame(websocket.Text, []byte("half of it"), true)[:9],
		"something else":                      []byte("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n"),
		"a close without a status":            websocket.Frame(websocket.Close, nil, true),
		"a close with half a status":          websocket.Frame(websocket.Close, []byte{3}, true),
		"frames behind a close":               slices.Concat(websocket.Frame(websocket.Close, []byte{3, 0xe8}, true), websocket.Frame(websocket.Text, []byte("late"), true)),
	}
	for _, size := range []int{0, 1, 124, 125, 126, 127, 128, 65535, 65536, 65537, 1 << 20} {
		all[fmt.Sprint("text of ", size)] = websocket.Frame(websocket.Text, bytes.Repeat([]byte("*"), size), true)
		all[fmt.Sprint("bytes of ", size)] = websocket.Frame(websocket.Binary, bytes.Repeat([]byte{0xfe}, size), true)
	}
	for _, status := range []uint16{999, 1000, 1001, 1005, 1006, 1011, 1015, 2999, 3000, 4999, 65535} {
		all[fmt.Sprint("a close with ", status)] = websocket.Frame(websocket.Close, append(binary.BigEndian.AppendUint16(nil, status), "why"...), true)
	}
	return all
}

// TestAWebSocketCarriesAnythingUntouched sends each conversation to the app and back, in one piece and in small ones.
func TestAWebSocketCarriesAnythingUntouched(t *testing.T) {
	onEachRoad(t, proxy.Config{}, func(t *testing.T, p *running) {
		p.serve(socketed(t, func(conn *net.TCPConn, reader *bufio.Reader) { io.Copy(conn, reader) }))
		for name, sent := range conversations() {
			for _, piece := range []int{len(sent), 1 + len(sent)/7} {
				conn, reader := p.open(t, "")
				go func() {
					for each := range slices.Chunk(sent, piece) {
						conn.Write(each)
					}
				}()
				got := make([]byte, len(sent))
				if _, err := io.ReadFull(reader, got); err != nil || !bytes.Equal(got, sent) {
					t.Errorf("%s in pieces of %d: %v, and what came back differs: %v", name, piece, err, !bytes.Equal(got, sent))
				}
				conn.Close()
			}
		}
	})
}

func TestWhatIsBehindTheHandshakeIsNotLost(t *testing.T) {
	onEachRoad(t, proxy.Config{}, func(t *testing.T, p *running) {
		hello, welcome := string(websocket.Frame(websocket.Text, []byte("hello"), true)), string(websocket.Frame(websocket.Text, []byte("welcome"), false))
		p.serve(wired(t, func(conn net.Conn) {
			answer, reader, err := accept(conn)
			if err != nil {
				return
			}
			io.WriteString(conn, answer+welcome)
			if _, payload, _, err := websocket.ReadFrame(reader); err == nil {
				conn.Write(websocket.Frame(websocket.Text, payload, false))
			}
		}))
		for range 20 {
			_, reader := p.open(t, hello)
			for _, want := range []string{"welcome", "hello"} {
				if _, got, _, err := websocket.ReadFrame(reader); string(got) != want || err != nil {
					t.Fatalf("the client has %q, %v, want %q", got, err, want)
				}
			}
		}
	})
}

// TestAnUpgradeThatIsRefusedIsAnAnswerLikeAnother also sends what a client may have sent in advance: it is never a request.
func TestAnUpgradeThatIsRefusedIsAnAnswerLikeAnother(t *testing.T) {
	onEachRoad(t, proxy.Config{}, func(t *testing.T, p *running) {
		for _, status := range []string{"200 OK", "403 Forbidden", "426 Upgrade Required", "500 Internal Server Error", "302 Found"} {
			for _, behind := range []string{"", string(websocket.Frame(websocket.Text, []byte("too early"), true)), inner} {
				seen := make(chan string, 10)
				p.serve(wired(t, func(conn net.Conn) {
					for reader := bufio.NewReader(conn); ; {
						request, _, err := readStrictly(reader, conn)
						if err != nil {
							return
						}
						seen <- request
						io.WriteString(conn, "HTTP/1.1 "+status+"\r\nContent-Length: 2\r\n\r\nno")
					}
				}))
				conn := p.dial(t)
				io.WriteString(conn, websocket.Handshake(host, "/socket")+behind)
				reader := bufio.NewReader(conn)
				response, body, err := readAnswer(reader, "GET")
				if err != nil || response.Status != status || body != "no" {
					t.Errorf("%s: the client has %v %q, %v", status, response, body, err)
				}
				if rest, _ := io.ReadAll(reader); len(rest) > 0 {
					t.Errorf("%s: behind it the client has %q", status, rest)
				}
				if <-seen; len(seen) > 0 {
					t.Errorf("%s: %q was a request", status, <-seen)
				}
			}
		}
	})
}

func TestOneSideOfATunnelMayEndBeforeTheOther(t *testing.T) {
	onEachRoad(t, proxy.Config{}, func(t *testing.T, p *running) {
		heard := make(chan string, 1)
		p.serve(socketed(t, func(conn *net.TCPConn, reader *bufio.Reader) {
			if first, _ := reader.Peek(1); string(first) == "a" { // the app ends first
				io.WriteString(conn, "from the app")
				conn.CloseWrite()
			}
			said, _ := io.ReadAll(reader)
			heard <- string(said)
			io.WriteString(conn, "from the app")
		}))
		conn, reader := p.open(t, "")
		io.WriteString(conn, "client first")
		conn.CloseWrite()
		if got, err := io.ReadAll(reader); string(got) != "from the app" || err != nil {
			t.Errorf("the client has %q, %v", got, err)
		}
		if got := <-heard; got != "client first" {
			t.Errorf("the app has %q", got)
		}
		conn, reader = p.open(t, "a")
		if got, err := io.ReadAll(reader); string(got) != "from the app" || err != nil {
			t.Errorf("the client has %q, %v, from an app that ends first", got, err)
		}
		io.WriteString(conn, " and after")
		conn.CloseWrite()
		if got := <-heard; got != "a and after" {
			t.Errorf("the app that has ended first has %q", got)
		}
	})
}

// TestThousandsOfMessagesPassBothWaysAtOnce has both sides talk without waiting for each other.
func TestThousandsOfMessagesPassBothWaysAtOnce(t *testing.T) {
	const messages = 5000
	message := func(i int) []byte { return []byte(strings.Repeat(fmt.Sprint(i, " "), 1+i%50)) }
	talk := func(conn io.Writer, isMasked bool) {
		writer := bufio.NewWriterSize(conn, 1000)
		defer writer.Flush()
		for i := range messages {
			writer.Write(websocket.Frame(websocket.Text, message(i), isMasked))
		}
	}
	listen := func(reader io.Reader) error {
		for i := range messages {
			if _, got, _, err := websocket.ReadFrame(reader); err != nil || !bytes.Equal(got, message(i)) {
				return fmt.Errorf("message %d is %.50q, %w", i, got, err)
			}
		}
		return nil
	}
	onEachRoad(t, proxy.Config{}, func(t *testing.T, p *running) {
		heard := make(chan error, 1)
		p.serve(socketed(t, func(conn *net.TCPConn, reader *bufio.Reader) {
			talked := make(chan struct{})
			go func() {
				defer close(talked)
				talk(conn, false)
			}()
			heard <- listen(reader)
			<-talked
		}))
		conn, reader := p.open(t, "")
		go talk(conn, true)
		if err := listen(reader); err != nil {
			t.Errorf("at the client: %v", err)
		}
		if err := <-heard; err != nil {
			t.Errorf("at the app: %v", err)
		}
	})
}

// TestASlowSideOfATunnelSlowsTheOther has each side write to one that does not read: soon it must wait, and nothing is lost then.
func TestASlowSideOfATunnelSlowsTheOther(t *testing.T) {
	const whole = 256 << 20 // more than all buffers between them
	flood := func(conn net.Conn) (sent int64) {
		block := make([]byte, 1<<20)
		for sent < whole {
			conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			n, err := conn.Write(block)
			if sent += int64(n); err != nil {
				break
			}
		}
		return sent
	}
	onEachRoad(t, proxy.Config{}, func(t *testing.T, p *running) {
		sent := make(chan int64, 1)
		p.serve(socketed(t, func(conn *net.TCPConn, reader *bufio.Reader) {
			if first, _ := reader.ReadByte(); first == 'w' {
				sent <- flood(conn)
				return
			}
			n := <-sent // only now it reads
			got, _ := io.Copy(io.Discard, reader)
			sent <- n - got
		}))
		_, reader := p.open(t, "w")
		n := <-sent
		if n >= whole {
			t.Errorf("the app has written %d bytes that nobody reads", n)
		}
		if got, err := io.Copy(io.Discard, reader); got != n || err != nil {
			t.Errorf("of %d bytes the client has %d, %v", n, got, err)
		}
		conn, _ := p.open(t, "r")
		if n = flood(conn); n >= whole {
			t.Errorf("the client has written %d bytes that nobody reads", n)
		}
		sent <- n
		conn.CloseWrite()
		until(t, "the app to read on", func() bool { return len(sent) == 0 })
		if missing := <-sent; missing != 0 {
			t.Errorf("of %d bytes the app misses %d", n, missing)
		}
	})
}
