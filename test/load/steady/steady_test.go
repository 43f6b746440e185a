package steady

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestQuantilesAreRightToTwoPercent(t *testing.T) {
	var h Histogram
	for i := 1; i <= 1000; i++ {
		h.Add(time.Duration(i) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second} {
		if got := h.Quantile(q); math.Abs(float64(got-want)) > 0.02*float64(want) {
			t.Errorf("quantile %v is %s, want %s", q, got, want)
		}
	}
	var small Histogram
	small.Add(7)
	if got := small.Quantile(0.5); got != 7 {
		t.Errorf("the median of 7 ns is %d ns", got)
	}
}

func TestAStallCountsForTheRequestsThatWereDueMeanwhile(t *testing.T) {
	const stall = 300 * time.Millisecond
	var count atomic.Int32
	result := run(t, 200, 1, func(w http.ResponseWriter, r *http.Request) {
		if count.Add(1) == 20 {
			time.Sleep(stall)
		}
	})
	if len(result.Problems) > 0 || result.Due < 100 {
		t.Fatalf("%d due, problems %v", result.Due, result.Problems)
	}
	// 60 requests were due during the stall, and the one that came first waited for most of it.
	late := 0
	for q := 0.0; q < 1; q += 0.01 {
		if result.Latency.Quantile(q) > stall/3 {
			late++
		}
	}
	if late < 5 || result.Latency.Max() < stall {
		t.Errorf("%d %% were late, the latest by %s", late, result.Latency.Max())
	}
}

func TestWhatIsNotAnsweredWell(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter)
		want   string
	}{
		"status":     {func(w http.ResponseWriter) { w.WriteHeader(503) }, "status 503"},
		"connection": {func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, "without an answer"},
		"close":      {func(w http.ResponseWriter) { w.Header().Set("Connection", "close") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var count atomic.Int32
			result := run(t, 100, 4, func(w http.ResponseWriter, _ *http.Request) {
				if count.Add(1) == 10 {
					c.answer(w)
				}
			})
			told := ""
			for each, n := range result.Problems {
				told += strings.Repeat(each+"; ", n)
			}
			if c.want == "" && told != "" || c.want != "" && (result.Failed != 1 || !strings.Contains(told, c.want)) {
				t.Errorf("%d failed: %s", result.Failed, told)
			}
		})
	}
}

func run(t *testing.T, rate, conns int, handle http.HandlerFunc) *Result {
	t.Helper()
	server := httptest.NewServer(handle)
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	result, err := Load{
		Address:  netip.MustParseAddrPort(server.Listener.Addr().String()),
		Requests: [][]byte{[]byte("GET / HTTP/1.1\r\nHost: here\r\n\r\n")}, Rate: rate, Conns: conns,
	}.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return result
}
