package load

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestLoadNoticesOneBadAnswerAmongMany(t *testing.T) {
	for name, spoil := range map[string]func(http.ResponseWriter){
		"status":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
		"version":    func(w http.ResponseWriter) { w.Header().Set("X-Version", "2"); io.WriteString(w, "2") },
		"body":       func(w http.ResponseWriter) { w.Header().Set("X-Version", "1"); io.WriteString(w, "something else") },
		"pause":      func(w http.ResponseWriter) { w.Header().Set("Retry-After", "5"); w.WriteHeader(503) },
		"connection": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := loadAgainst(t, func(w http.ResponseWriter, r *http.Request, number int32) {
				if number == 100 {
					spoil(w)
					return
				}
				answer(w, r, "1")
			})
			if len(got.Faults()) != 1 {
				t.Errorf("want one fault, got %s", got)
			}
		})
	}
}

func TestLoadFindsNoFaultWithAGoodServer(t *testing.T) {
	t.Parallel()
	got := loadAgainst(t, func(w http.ResponseWriter, r *http.Request, _ int32) { answer(w, r, "1") })
	if len(got.Faults()) != 0 || got.PerSecond < 250 {
		t.Error(got)
	}
}

// loadAgainst sends some hundred requests to a server and reports.
func loadAgainst(t *testing.T, handle func(w http.ResponseWriter, r *http.Request, number int32)) Report {
	var count atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(w, r, count.Add(1)) }))
	defer server.Close()
	client := func() *http.Client { return &http.Client{Transport: &http.Transport{}} }
	l := Start(t, client, strings.TrimPrefix(server.URL, "http://"), "1", 300)
	for l.Sent() < 200 {
		time.Sleep(time.Millisecond)
	}
	return l.Stop()
}

// answer does as the sample application does.
func answer(w http.ResponseWriter, r *http.Request, version string) {
	w.Header().Set("X-Version", version)
	if r.Method == http.MethodPost {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %x %d", version, sha256.Sum256(body), len(body))
		return
	}
	io.WriteString(w, version)
}
