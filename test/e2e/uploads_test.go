package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apron-run/apron/test/apron"
)

// uploads are requests by HTTP/2 whose bodies no client can send again, several at a time by one connection: by Go with TLS and without,
// and by Node.js where there is one. The clients are far away, so that always some are on their way.
type uploads struct {
	host   string
	cancel context.CancelFunc
	users  sync.WaitGroup
	// endNode ends Node.js; nil without.
	endNode func() error

	mu     sync.Mutex // guards the members below
	sent   int
	faults []string
}

const uploadsAtATime = 4

func startUploads(t *testing.T, a *apron.Apron, service *apron.Service) *uploads {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	u := &uploads{cancel: cancel}
	u.host, _, _ = strings.Cut(service.URL, ":")
	root := a.MustCommand(t, "ca")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(root))
	https, plainly := farFrom(t, a.HTTPS), farFrom(t, a.HTTP)
	protocols := &http.Protocols{}
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	for scheme, address := range map[string]string{"https": https, "http": plainly} {
		transport := &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, address)
			},
			TLSClientConfig: &tls.Config{RootCAs: roots}, Protocols: protocols,
		}
		t.Cleanup(transport.CloseIdleConnections)
		client := &http.Client{Transport: transport, Timeout: time.Minute}
		for range uploadsAtATime {
			u.users.Go(func() { u.send(ctx, client, scheme+"://"+u.host+"/sum") })
		}
	}
	t.Cleanup(func() { cancel(); u.users.Wait() })
	u.startNode(t, https, root)
	return u
}

// send uploads until ctx ends. What was begun is finished.
func (u *uploads) send(ctx context.Context, client *http.Client, url string) {
	for ctx.Err() == nil {
		err := u.one(client, url)
		u.mu.Lock()
		if u.sent++; err != nil {
			u.faults = append(u.faults, time.Now().Format("15:04:05.000 ")+err.Error())
		}
		u.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
}

func (u *uploads) one(client *http.Client, url string) error {
	content := make([]byte, 21_000)
	rand.Read(content)
	var hasBegun atomic.Bool
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{WroteHeaders: func() { hasBegun.Store(true) }})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, inPieces(content))
	if err != nil {
		return err
	}
	// The library also asks when it has not sent anything, because its connection is to end.
	request.GetBody = func() (io.ReadCloser, error) {
		if hasBegun.Load() {
			return nil, errors.New("it would have to be sent again")
		}
		return io.NopCloser(inPieces(content)), nil
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if want := fmt.Sprintf("%x %d", sha256.Sum256(content), len(content)); err != nil || !strings.HasSuffix(string(answer), want) || response.ProtoMajor != 2 {
		return fmt.Errorf("%s by %s: status %d, %.200q, %w", url, response.Proto, response.StatusCode, answer, err)
	}
	return nil
}

// inPieces reads the content with a pause in it.
func inPieces(content []byte) io.Reader {
	return io.MultiReader(bytes.NewReader(content[:1000]), waits(5*time.Millisecond), bytes.NewReader(content[1000:]))
}

// waits is a reader that takes its time for nothing.
type waits time.Duration

func (w waits) Read([]byte) (int, error) {
	time.Sleep(time.Duration(w))
	return 0, io.EOF
}

func (u *uploads) startNode(t *testing.T, address, root string) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Log("there is no Node.js on this machine")
		return
	}
	file := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(file, []byte(root), 0o600); err != nil {
		t.Fatal(err)
	}
	running := exec.CommandContext(t.Context(), node, filepath.Join("testdata", "uploads.js"), address, u.host, file)
	var told, complaints bytes.Buffer
	running.Stdout, running.Stderr = &told, &complaints
	input, err := running.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	u.endNode = sync.OnceValue(func() error {
		input.Close()
		if err := running.Wait(); err != nil {
			return fmt.Errorf("Node.js: %w: %s", err, complaints.Bytes())
		}
		t.Logf("Node.js: %s", told.Bytes())
		return nil
	})
	t.Cleanup(func() { u.endNode() })
}

// stop ends the uploads and returns how many were sent by Go, and what went wrong with all.
func (u *uploads) stop() (sent int, faults []string) {
	u.cancel()
	u.users.Wait()
	if u.endNode != nil {
		if err := u.endNode(); err != nil {
			u.faults = append(u.faults, err.Error())
		}
	}
	return u.sent, u.faults
}

// away is how long bytes take to a server that is far, and back from it.
const away = 30 * time.Millisecond

// farFrom returns an address at which the server at another one answers, but far away.
func farFrom(t *testing.T, address string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", address)
			if err != nil {
				near.Close()
				continue
			}
			context.AfterFunc(t.Context(), func() { near.Close(); far.Close() })
			go carryLate(near, far)
			go carryLate(far, near)
		}
	}()
	return listener.Addr().String()
}

// carryLate carries bytes one way until the end.
func carryLate(from, to net.Conn) {
	type piece struct {
		due     time.Time
		content []byte
	}
	pieces := make(chan piece, 1024)
	go func() {
		defer close(pieces)
		for buffer := make([]byte, 16<<10); ; {
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			pieces <- piece{time.Now().Add(away), bytes.Clone(buffer[:n])}
		}
	}()
	for each := range pieces {
		time.Sleep(time.Until(each.due))
		_, _ = to.Write(each.content) // who has gone reads no more
	}
	_ = to.(*net.TCPConn).CloseWrite()
}
