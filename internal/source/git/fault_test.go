package git_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/apron-run/apron/internal/source/git"
)

// serveInstead serves the repository app, and in the place of each pack what send writes after the announcement of the pack.
func serveInstead(t *testing.T, send func(w http.ResponseWriter, r *http.Request)) (address string) {
	t.Helper()
	handler, _ := newGitServer(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorded := httptest.NewRecorder()
		handler.ServeHTTP(recorded, r)
		answer := recorded.Body.Bytes()
		announcement := []byte("000dpackfile\n")
		end := bytes.Index(answer, announcement)
		for name, values := range recorded.Header() {
			w.Header()[name] = values
		}
		if end < 0 {
			w.WriteHeader(recorded.Code)
			w.Write(answer)
			return
		}
		w.Write(answer[:end+len(announcement)])
		send(w, r)
	}))
	server.Config.ErrorLog = quietLog()
	t.Cleanup(server.Close)
	return withUser(t, server.URL, url.UserPassword(keys.ID, keys.Secret))
}

// endlessPack writes a pack whose first object never ends, until the client has gone.
func endlessPack(w http.ResponseWriter, _ *http.Request) {
	packets := packetWriter{w}
	header := append([]byte("PACK"), 0, 0, 0, 2, 0, 0, 3, 0xe8) // version 2, 1000 objects
	header = append(header, 0x80|3<<4)                          // a blob, of a size that follows
	header = binary.AppendUvarint(header, 1<<50)
	if _, err := packets.Write(header); err != nil {
		return
	}
	content, err := zlib.NewWriterLevel(packets, zlib.NoCompression)
	if err != nil {
		panic(err)
	}
	noise := make([]byte, 32<<10)
	source := rand.NewChaCha8([32]byte{})
	for err == nil {
		source.Read(noise)
		_, err = content.Write(noise)
	}
}

// packetWriter writes into the channel of packs, in lines of Git's protocol.
type packetWriter struct{ to io.Writer }

func (w packetWriter) Write(p []byte) (written int, err error) {
	const most = 60000
	for len(p) > 0 && err == nil {
		n := min(len(p), most)
		_, err = fmt.Fprintf(w.to, "%04x\x01%s", n+5, p[:n])
		written, p = written+n, p[n:]
	}
	return written, err
}

func TestAServerThatFailsInTheMiddleOfAPackIsExplained(t *testing.T) {
	for name, c := range map[string]struct {
		send func(w http.ResponseWriter, r *http.Request)
		want string
	}{
		"it hangs": {func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, "127.0.0.1 sent nothing for 2s"},
		"it breaks off": {func(w http.ResponseWriter, _ *http.Request) {
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "the connection to 127.0.0.1 broke off"},
		"the pack never ends": {endlessPack, "larger than 8 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := serveInstead(t, c.send)
			patient, _ := newRepositories(t, git.Limits{})
			commit, err := patient.ResolveCommit(deadline(t), code(address))
			if err != nil {
				t.Fatal(err)
			}
			repositories, data := newRepositories(t, git.Limits{Silence: 2 * time.Second, Bytes: 8 << 20})
			git.SetRetries(repositories, time.Millisecond, time.Millisecond)
			dir := t.TempDir()
			err = repositories.Fetch(deadline(t), code(address), commit, dir, nil)
			wantCause(t, err, c.want)
			if strings.Contains(err.Error(), keys.Secret) {
				t.Errorf("the password is told: %v", err)
			}
			wantEmpty(t, dir)
			waitFor(t, "all processes to end", func() bool { return len(processesOf(t, data)) == 0 })
		})
	}
}
