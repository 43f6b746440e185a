package proxy

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy"
	"github.com/apron-run/apron/test/websocket"
)

// endings are the ways by which the proxy ends WebSockets, for the instance that they lead to.
var endings = map[string]func(*running, platform.Endpoint){
	"the instance leaves": func(p *running, instance platform.Endpoint) {
		p.serve()
		p.EndTunnels(context.Background(), []platform.InstanceID{instance.InstanceID})
	},
	"the proxy stops":  func(p *running, _ platform.Endpoint) { p.stop() },
	"the proxy leaves": func(p *running, _ platform.Endpoint) { p.Leave() },
}

// onEachEnding runs a test for each way to end WebSockets, which begins when the test calls end.
func onEachEnding(t *testing.T, test func(t *testing.T, p *running, end func(platform.Endpoint))) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEachRoad(t, proxy.Config{IdleTimeout: 100 * time.Millisecond}, func(t *testing.T, p *running) {
				ended := make(chan struct{})
				test(t, p, func(instance platform.Endpoint) {
					go func() {
						defer close(ended)
						end(p, instance)
					}()
					t.Cleanup(func() { <-ended })
				})
			})
		})
	}
}

func TestAWebSocketIsClosedInOrderAtBothSides(t *testing.T) {
	onEachEnding(t, func(t *testing.T, p *running, end func(platform.Endpoint)) {
		atApp := make(chan string, 1)
		instance := socketed(t, func(conn *net.TCPConn, reader *bufio.Reader) { atApp <- takeLeave(conn, reader, false) })
		p.serve(instance)
		conn, reader := p.open(t, "")
		begun := time.Now()
		end(instance)
		if got := takeLeave(conn, reader, true); got != "" {
			t.Errorf("at the client: %s", got)
		}
		if got := <-atApp; got != "" {
			t.Errorf("at the app: %s", got)
		}
		if took := time.Since(begun); took > 1500*time.Millisecond {
			t.Errorf("two sides that answer took %s", took)
		}
	})
}

// takeLeave waits for the frame that closes a WebSocket, answers it, and returns what was not as it should be.
func takeLeave(conn net.Conn, reader *bufio.Reader, isClient bool) string {
	first, payload, isMasked, err := websocket.ReadFrame(reader)
	if err != nil || first != websocket.Close || !bytes.Equal(payload, websocket.GoingAway) || isMasked == isClient {
		return fmt.Sprintf("frame %#x %q, masked %v, %v", first, payload, isMasked, err)
	}
	conn.Write(websocket.Frame(websocket.Close, payload, isClient))
	if rest, err := io.ReadAll(reader); len(rest) > 0 || err != nil {
		return fmt.Sprintf("behind it %q, %v", rest, err)
	}
	return ""
}

// TestAFrameUnderWayEndsBeforeItsWebSocketIsClosed has both sides in the middle of a frame, the app's of a fragmented message.
func TestAFrameUnderWayEndsBeforeItsWebSocketIsClosed(t *testing.T) {
	fromApp, fromClient := websocket.Frame(websocket.Text&^websocket.Fin, bytes.Repeat([]byte("a"), 70_000), false), websocket.Frame(websocket.Binary, bytes.Repeat([]byte("c"), 300), true)
	for _, cut := range []int{1, 2, 3, 5, 8, 100} {
		onEachEnding(t, func(t *testing.T, p *running, end func(platform.Endpoint)) {
			finish, atApp := make(chan struct{}), make(chan string, 1)
			instance := socketed(t, func(conn *net.TCPConn, reader *bufio.Reader) {
				if begin, _ := reader.Peek(1); len(begin) == 0 || begin[0] == websocket.Close {
					return // it is the one that tells when the end has begun
				}
				first := make([]byte, cut)
				io.ReadFull(reader, first)
				conn.Write(fromApp[:cut])
				<-finish
				conn.Write(slices.Concat(fromApp[cut:], websocket.Frame(websocket.Continued, []byte("too late"), false)))
				whole := bufio.NewReader(io.MultiReader(bytes.NewReader(first), reader))
				if _, got, _, err := websocket.ReadFrame(whole); len(got) != 300 || err != nil {
					atApp <- fmt.Sprintf("%d bytes of the client's frame, %v", len(got), err)
					return
				}
				atApp <- takeLeave(conn, whole, false)
			})
			p.serve(instance)
			goOn := sync.OnceFunc(func() { close(finish) })
			t.Cleanup(goOn)
			_, teller := p.open(t, "")
			conn, reader := p.open(t, string(fromClient[:cut]))
			if _, err := reader.Peek(cut); err != nil {
				t.Fatal(err)
			}
			end(instance)
			if first, _, _, err := websocket.ReadFrame(teller); first != websocket.Close || err != nil {
				t.Fatalf("the other WebSocket has %#x, %v", first, err)
			}
			time.Sleep(100 * time.Millisecond) // it is this one's turn a moment later at most
			if n := reader.Buffered(); n > cut {
				t.Errorf("%d bytes have come in the middle of a frame of which %d were sent", n, cut)
			}
			goOn()
			conn.Write(slices.Concat(fromClient[cut:], websocket.Frame(websocket.Text, []byte("too late"), true)))
			if _, got, _, err := websocket.ReadFrame(reader); len(got) != 70_000 || err != nil {
				t.Errorf("%d bytes of the app's frame, %v", len(got), err)
			}
			if got := takeLeave(conn, reader, true); got != "" {
				t.Errorf("at the client: %s", got)
			}
			if got := <-atApp; got != "" {
				t.Errorf("at the app: %s", got)
			}
		})
	}
}

// TestWhoDoesNotTakeItsLeaveIsNotWaitedForLong has clients that read nothing, stay in the middle of a frame, do not answer, or
// speak another protocol.
func TestWhoDoesNotTakeItsLeaveIsNotWaitedForLong(t *testing.T) {
	onEachRoad(t, proxy.Config{}, func(t *testing.T, p *running) {
		instance := wired(t, func(conn net.Conn) {
			answer, reader, err := accept(conn)
			if err != nil {
				return
			}
			io.WriteString(conn, answer)
			go io.Copy(io.Discard, reader)
			conn.Write(websocket.Frame(websocket.Binary, make([]byte, 64<<20), false)[:64<<20])
		})
		p.serve(instance)
		for range 3 {
			p.open(t, "")
		}
		p.open(t, string(websocket.Frame(websocket.Text, []byte("half"), true)[:5]))
		begun := time.Now()
		p.EndTunnels(t.Context(), []platform.InstanceID{instance.InstanceID})
		if took := time.Since(begun); took > 20*time.Second { // and without a bound it is for good
			t.Errorf("it took %s", took)
		}
		p.serve()
		draining, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if left := p.Drain(draining, []platform.InstanceID{instance.InstanceID}); left > 0 {
			t.Errorf("%d are left", left)
		}
	})
}

// TestOnlyTheTunnelsOfAnInstanceThatLeavesAreEnded has two instances, and a WebSocket that its own sides close.
func TestOnlyTheTunnelsOfAnInstanceThatLeavesAreEnded(t *testing.T) {
	onEachRoad(t, proxy.Config{}, func(t *testing.T, p *running) {
		echo := func(conn *net.TCPConn, reader *bufio.Reader) { io.Copy(conn, reader) }
		leaving, staying := socketed(t, echo), socketed(t, echo)
		p.serve(leaving)
		ended, endedReader := p.open(t, "")
		other, otherReader := p.open(t, "")
		own := websocket.Frame(websocket.Close, []byte{1000 >> 8, 1000 & 0xff}, true)
		other.Write(own)
		if got := make([]byte, len(own)); readEqual(otherReader, got, own) != nil {
			t.Errorf("its own close came back as %q", got)
		}
		p.serve(staying)
		kept, keptReader := p.open(t, "")
		go p.EndTunnels(t.Context(), []platform.InstanceID{leaving.InstanceID})
		if got := takeLeave(ended, endedReader, true); got != "" {
			t.Error(got)
		}
		if rest, err := io.ReadAll(otherReader); len(rest) > 0 || err != nil {
			t.Errorf("the one that was closed already has %q, %v", rest, err)
		}
		message := websocket.Frame(websocket.Text, []byte("still here"), true)
		kept.Write(message)
		if got := make([]byte, len(message)); readEqual(keptReader, got, message) != nil {
			t.Errorf("the other instance's has %q", got)
		}
	})
}

// readEqual reads into got, and says whether that is what was wanted.
func readEqual(reader io.Reader, got, want []byte) error {
	if _, err := io.ReadFull(reader, got); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%q differs from %q", got, want)
	}
	return nil
}
