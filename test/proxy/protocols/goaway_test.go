package protocols

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"reflect"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
)

const goAwayHost = "leaves.us-east-1." + domain

// byFrames is a client of HTTP/2 that a test plays frame by frame.
type byFrames struct {
	*http2.Framer
	conn net.Conn
}

// byFrames connects with TLS or without.
func (w *world) byFrames(t *testing.T, isEncrypted bool) *byFrames {
	t.Helper()
	address := w.plain
	if isEncrypted {
		address = w.encrypted
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if isEncrypted {
		config := w.tls(goAwayHost)
		config.NextProtos = []string{"h2"}
		conn = tls.Client(conn, config)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	c := &byFrames{http2.NewFramer(conn, conn), conn}
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := c.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return c
}

// ask begins a stream.
func (c *byFrames) ask(t *testing.T, stream uint32, path string) {
	t.Helper()
	var head bytes.Buffer
	encoder := hpack.NewEncoder(&head)
	for _, field := range [][2]string{{":method", "POST"}, {":scheme", "https"}, {":path", path}, {":authority", goAwayHost}} {
		if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			t.Fatal(err)
		}
	}
	err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: head.Bytes(), EndHeaders: true})
	if err := errors.Join(err, c.WriteData(stream, true, []byte("body"))); err != nil {
		t.Fatal(err)
	}
}

// seen is what a server has sent over a connection: which streams have ended, and which one each GOAWAY named.
type seen struct{ ended, goAways []uint32 }

// read reads until a condition holds, or the connection ends.
func (c *byFrames) read(t *testing.T, into *seen, until func() bool) {
	t.Helper()
	for !until() {
		frame, err := c.ReadFrame()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("after %v: %v", into, err)
		}
		header := frame.Header()
		switch f := frame.(type) {
		case *http2.GoAwayFrame:
			into.goAways = append(into.goAways, f.LastStreamID)
		case *http2.RSTStreamFrame:
			t.Errorf("it sends %v", f)
		case *http2.MetaHeadersFrame:
			if status := f.PseudoValue("status"); status != "200" {
				t.Errorf("stream %d is answered %s", header.StreamID, status)
			}
		case *http2.DataFrame:
			if f.StreamEnded() {
				into.ended = append(into.ended, header.StreamID)
			}
		}
	}
}

func TestAProxyThatLeavesAnswersWhatCrossesItsGoAway(t *testing.T) {
	const all = 1<<31 - 1
	for name, isEncrypted := range map[string]bool{"tls": true, "h2c": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, proxy.Config{})
			arrived, finish := make(chan struct{}), make(chan struct{})
			w.serve(goAwayHost, platform.AppProtocolHTTP1, app(t, platform.AppProtocolHTTP1, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					close(arrived)
					<-finish
				}
				io.Copy(w, r.Body)
			}))
			idle, busy := w.byFrames(t, isEncrypted), w.byFrames(t, isEncrypted)
			var ofIdle, ofBusy seen
			idle.ask(t, 1, "/")
			idle.read(t, &ofIdle, func() bool { return len(ofIdle.ended) > 0 })
			busy.ask(t, 1, "/slow")
			<-arrived
			w.Leave()
			for _, stream := range []uint32{3, 5, 7} { // the client has not heard of it
				busy.ask(t, stream, "/")
			}
			busy.read(t, &ofBusy, func() bool { return len(ofBusy.goAways) == 2 && len(ofBusy.ended) == 3 })
			close(finish)
			never := func() bool { return false }
			busy.read(t, &ofBusy, never)
			idle.read(t, &ofIdle, never)
			slices.Sort(ofBusy.ended[:min(3, len(ofBusy.ended))])
			if want := (seen{[]uint32{3, 5, 7, 1}, []uint32{all, 7}}); !reflect.DeepEqual(ofBusy, want) {
				t.Errorf("the client that asks has seen %v, want %v", ofBusy, want)
			}
			if want := (seen{[]uint32{1}, []uint32{all, 1}}); !reflect.DeepEqual(ofIdle, want) {
				t.Errorf("the client that does nothing has seen %v, want %v", ofIdle, want)
			}
		})
	}
}
