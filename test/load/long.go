package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apron-run/apron/test/websocket"
)

// Long is what takes longer than a request: WebSockets on which messages go back and forth, connections that are kept, and downloads
// that are slow. Each is held until it ends, and begun anew then.
type Long struct {
	serviceURL string
	cancel     context.CancelFunc
	users      sync.WaitGroup

	mu     sync.Mutex // guards what follows
	told   LongReport
	faults []string
}

// LongReport counts what has gone well.
type LongReport struct {
	// Messages have come back, on Sockets that were opened; Closed of these were closed in order, because an instance or the proxy went.
	Messages, Sockets, Closed int
	// Downloads have ended as they should. Requests were answered on Kept connections that were opened.
	Downloads, Requests, Kept int
}

// StartLong begins some of each with a service, in turn by one of the dials and by the next.
func StartLong(t testing.TB, serviceURL string, dials ...Dial) *Long {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &Long{serviceURL: serviceURL, cancel: cancel}
	for i, use := range []func(context.Context, Dial) error{l.talk, l.talk, l.talk, l.download, l.download, l.keep, l.keep} {
		l.users.Go(func() {
			for ctx.Err() == nil {
				if err := use(ctx, dials[i%len(dials)]); err != nil && ctx.Err() == nil {
					l.note(func() { l.faults = append(l.faults, time.Now().Format("15:04:05.000 ")+err.Error()) })
					time.Sleep(20 * time.Millisecond) // when nobody answers
				}
			}
		})
	}
	t.Cleanup(l.end)
	return l
}

// Told returns what has gone well so far.
func (l *Long) Told() LongReport {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told
}

// Take returns what went wrong since it was called last.
func (l *Long) Take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	faults := l.faults
	l.faults = nil
	return faults
}

// Stop ends all, and returns what has gone well, and wrong.
func (l *Long) Stop() (LongReport, []string) {
	l.end()
	return l.Told(), l.Take()
}

func (l *Long) end() {
	l.cancel()
	l.users.Wait()
}

func (l *Long) note(what func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	what()
}

// longPatience bounds each wait for an answer: no part of apron may hold one up for as long.
const longPatience = 20 * time.Second

// connect returns a connection that ends with ctx.
func connect(ctx context.Context, dial Dial) (conn net.Conn, end func(), err error) {
	if conn, err = dial(ctx); err != nil {
		return nil, nil, fmt.Errorf("connect: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	return conn, func() { stop(); conn.Close() }, nil
}

// talk opens a WebSocket and sends messages, each when the one before has come back, until it is closed.
func (l *Long) talk(ctx context.Context, dial Dial) error {
	conn, end, err := connect(ctx, dial)
	if err != nil {
		return err
	}
	defer end()
	conn.SetDeadline(time.Now().Add(longPatience))
	reader, err := websocket.Open(conn, l.serviceURL, "/socket", "")
	if err != nil {
		return fmt.Errorf("open a WebSocket: %w", err)
	}
	l.note(func() { l.told.Sockets++ })
	for n := 0; ; n++ {
		conn.SetDeadline(time.Now().Add(longPatience))
		message := strings.Repeat(fmt.Sprint(n, " "), 1+n%40)
		if _, err := conn.Write(websocket.Frame(websocket.Text, []byte(message), true)); err != nil {
			return fmt.Errorf("send message %d of a WebSocket: %w", n, err)
		}
		first, payload, _, err := websocket.ReadFrame(reader)
		switch {
		case err != nil:
			return fmt.Errorf("await message %d of a WebSocket: %w", n, err)
		case first == websocket.Close && string(payload) == string(websocket.GoingAway):
			conn.Write(websocket.Frame(websocket.Close, payload, true))
			rest, err := io.ReadAll(reader)
			if len(rest) > 0 || err != nil {
				return fmt.Errorf("a WebSocket that is closed goes on with %q, %w", rest, err)
			}
			l.note(func() { l.told.Closed++ })
			return nil
		case first != websocket.Text || string(payload) != message:
			return fmt.Errorf("message %d of a WebSocket came back as %#x %.50q", n, first, payload)
		}
		l.note(func() { l.told.Messages++ })
		if wait(ctx, 20*time.Millisecond) != nil {
			return nil
		}
	}
}

// download reads an answer that takes a second.
func (l *Long) download(ctx context.Context, dial Dial) error {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}, Timeout: longPatience}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.serviceURL+"/stream?lines=10", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("download: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if lines := strings.Count(string(body), "\n"); err != nil || lines != 10 {
		return fmt.Errorf("a download with status %d ends after %d of 10 lines: %w", response.StatusCode, lines, err)
	}
	l.note(func() { l.told.Downloads++ })
	return nil
}

// keep asks again and again by one connection, until an answer says that it is the last.
func (l *Long) keep(ctx context.Context, dial Dial) error {
	conn, end, err := connect(ctx, dial)
	if err != nil {
		return err
	}
	defer end()
	l.note(func() { l.told.Kept++ })
	for reader := bufio.NewReader(conn); ; {
		conn.SetDeadline(time.Now().Add(longPatience))
		fmt.Fprintf(conn, "POST /sum HTTP/1.1\r\nHost: %s\r\nContent-Length: 4\r\n\r\nkept", l.serviceURL)
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return fmt.Errorf("by a connection that is kept: %w", err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			return fmt.Errorf("by a connection that is kept: status %d, %.100q, %w", response.StatusCode, body, err)
		}
		l.note(func() { l.told.Requests++ })
		if response.Close || wait(ctx, 20*time.Millisecond) != nil {
			return nil
		}
	}
}

func wait(ctx context.Context, long time.Duration) error {
	select {
	case <-time.After(long):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
