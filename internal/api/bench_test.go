package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/api"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store/sqlite/sqlitetest"
)

// The benchmarks answer signed requests without a network: what is left is apron's own. Each has a store on the disk.

// signed is a request that is answered again and again.
type signed struct {
	request *http.Request
	body    []byte
}

func (w *world) signed(action, body string) *signed {
	w.t.Helper()
	return &signed{w.request("AppRunner."+action, body, nil), []byte(body)}
}

// answeredBy lets handler answer the request, and fails the benchmark unless it is a success.
func (s *signed) answeredBy(b *testing.B, handler *api.Handler) []byte {
	s.request.Body = io.NopCloser(bytes.NewReader(s.body))
	answer := answerWriter{header: http.Header{}}
	handler.ServeHTTP(&answer, s.request)
	if answer.status != http.StatusOK {
		b.Fatalf("answers %d %s", answer.status, answer.body)
	}
	return answer.body
}

// answerWriter keeps an answer, at less cost than httptest's recorder.
type answerWriter struct {
	header http.Header
	status int
	body   []byte
}

func (w *answerWriter) Header() http.Header    { return w.header }
func (w *answerWriter) WriteHeader(status int) { w.status = status }
func (w *answerWriter) Write(p []byte) (int, error) {
	w.body = append(w.body, p...)
	return len(p), nil
}

// newFilledWorld has a service and so many copies of it.
func newFilledWorld(b *testing.B, copies int) (w *world, arn string) {
	w = newWorld(b, func(c *api.Config) { c.Log = slog.New(slog.NewTextHandler(io.Discard, nil)) })
	arn = w.running("web1")
	if copies > 0 {
		if err := sqlitetest.CopyService(b.Context(), w.path, path.Base(arn), 1, copies); err != nil {
			b.Fatal(err)
		}
	}
	return w, arn
}

func BenchmarkDescribeService(b *testing.B) {
	w, arn := newFilledWorld(b, 1_000)
	describe := w.signed("DescribeService", arnOf(arn))
	b.ReportAllocs()
	for b.Loop() {
		describe.answeredBy(b, w.handler)
	}
}

func BenchmarkListOperations(b *testing.B) {
	w, arn := newFilledWorld(b, 0)
	if err := sqlitetest.CopyOperation(b.Context(), w.path, path.Base(arn), 100_000); err != nil {
		b.Fatal(err)
	}
	next := ""
	for range 3 { // pages in the middle cost what the first does
		page := w.signed("ListOperations", fmt.Sprintf(`{"ServiceArn":%q,"MaxResults":20%s}`, arn, next))
		b.Run(map[bool]string{true: "first page", false: "later page"}[next == ""], func(b *testing.B) {
			for b.Loop() {
				page.answeredBy(b, w.handler)
			}
		})
		next = nextOf(b, page.answeredBy(b, w.handler))
	}
}

// nextOf is the member of a request that goes on after an answer; empty after the last.
func nextOf(b *testing.B, answer []byte) string {
	var read struct{ NextToken string }
	if err := json.Unmarshal(answer, &read); err != nil {
		b.Fatal(err)
	}
	if read.NextToken == "" {
		return ""
	}
	return fmt.Sprintf(`,"NextToken":%q`, read.NextToken)
}

func BenchmarkListServices(b *testing.B) {
	w, _ := newFilledWorld(b, 10_000)
	next := ""
	for number := 1; ; number++ {
		page := w.signed("ListServices", `{"MaxResults":20`+next+"}")
		if number == 1 || number%250 == 0 {
			b.Run(fmt.Sprintf("page %d", number), func(b *testing.B) {
				for b.Loop() {
					page.answeredBy(b, w.handler)
				}
			})
		}
		if next = nextOf(b, page.answeredBy(b, w.handler)); next == "" {
			return
		}
	}
}

func BenchmarkTagResource(b *testing.B) {
	const writers = 16
	w, arn := newFilledWorld(b, 0)
	b.SetParallelism(max(1, writers/runtime.GOMAXPROCS(0)))
	var mu sync.Mutex // guards want
	want := map[string]string{}
	b.RunParallel(func(p *testing.PB) {
		mu.Lock()
		key := fmt.Sprintf("writer-%d", len(want))
		want[key] = ""
		mu.Unlock()
		last := ""
		for n := 0; p.Next(); n++ {
			last = strconv.Itoa(n)
			w.signed("TagResource", fmt.Sprintf(`{"ResourceArn":%q,"Tags":[{"Key":%q,"Value":%q}]}`, arn, key, last)).answeredBy(b, w.handler)
		}
		mu.Lock()
		defer mu.Unlock()
		if want[key] = last; last == "" {
			delete(want, key) // had no turn
		}
	})
	service, err := w.store.ServiceByID(b.Context(), platform.ServiceID(path.Base(arn)))
	if err != nil {
		b.Fatal(err)
	}
	if diff := cmp.Diff(want, service.Tags); diff != "" {
		b.Errorf("tags were lost (-want +got):\n%s", diff)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
}
