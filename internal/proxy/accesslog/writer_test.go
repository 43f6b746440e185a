package accesslog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apron-run/apron/internal/proxy/trace"
)

func aRecord() Record {
	return Record{
		StartedAt: time.Date(2026, 11, 26, 7, 5, 9, 1234567, time.FixedZone("", 3600)), Duration: 1234567 * time.Nanosecond,
		ServiceID: "0123456789abcdef0123456789abcdef", ServiceName: "shop", RevisionID: "r-1", InstanceID: "fedcba9876543210fedcba9876543210",
		QueueTime: 5 * time.Microsecond, UpstreamTime: time.Millisecond, TraceID: trace.ID{0x0a, 0xf7, 15: 0x9c},
		Client: netip.MustParseAddr("203.0.113.9"), Method: "GET", Host: "shop.apron.test", URI: "/api/users/42?token=secret", Protocol: "HTTP/1.1",
		Status: 200, RequestBytes: 0, ResponseBytes: 1532, Attempts: 1,
		Agent: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
	}
}

func TestALineOfTheAccessLogTellsAll(t *testing.T) {
	record, clock := aRecord(), &lineClock{}
	const want = `{"time":"2026-11-26T06:05:09.001234Z","service_id":"0123456789abcdef0123456789abcdef","service":"shop","revision":"r-1",` +
		`"instance":"fedcba9876543210fedcba9876543210","client":"203.0.113.9","method":"GET","host":"shop.apron.test","path":"/api/users/42",` +
		`"protocol":"HTTP/1.1","status":200,"request_bytes":0,"response_bytes":1532,"duration_ms":1.234,"queue_ms":0.005,"upstream_ms":1.000,` +
		`"attempts":1,"trace_id":"0af7000000000000000000000000009c","user_agent":"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}` + "\n"
	if got := string(appendLine(nil, &record, clock)); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	record.StartedAt = record.StartedAt.Add(time.Second)
	record.Problem = "The service shop is paused."
	if got := string(appendLine(nil, &record, clock)); !strings.Contains(got, `"2026-11-26T06:05:10.001234Z"`) || !strings.HasSuffix(got, `,"problem":"The service shop is paused."}`+"\n") {
		t.Error(got)
	}
	empty := Record{}
	if got := appendLine(nil, &empty, clock); !json.Valid(got) {
		t.Errorf("of nothing: %s", got)
	}
}

// What clients send is in the lines, and must neither end one nor reach a terminal as it is.
func FuzzALineIsOneValidLine(f *testing.F) {
	f.Add("/a\nb\x1b[31m\u009b\u202e\"\\\xff\U000e0001 ünï\x7f")
	f.Add(strings.Repeat("é", 3000))
	f.Fuzz(func(t *testing.T, text string) {
		record := aRecord()
		record.Agent, record.Host, record.Method, record.Problem, record.URI = text, text, text, text, text
		line := appendLine(nil, &record, &lineClock{})
		if !json.Valid(line) || bytes.Count(line, []byte("\n")) != 1 || len(line) > 32<<10 {
			t.Errorf("%q leads to %s", text, line)
		}
		for _, char := range strings.TrimSuffix(string(line), "\n") {
			if char < ' ' || char >= 0x7f && char < 0xa0 || char == 0x202e {
				t.Errorf("%q leads to a control character in %q", text, line)
			}
		}
		var read struct {
			Agent string `json:"user_agent"`
		}
		if err := json.Unmarshal(line, &read); err != nil || len(text) <= maxLoggedAgent && read.Agent != strings.ToValidUTF8(text, "\ufffd") && !strings.Contains(read.Agent, "\ufffd") {
			t.Errorf("%q is read as %q, %v", text, read.Agent, err)
		}
	})
}

// disk is a file that can be full and slow.
type disk struct {
	mu     sync.Mutex // guards what follows
	text   bytes.Buffer
	isFull bool
	slow   chan struct{}
}

func (d *disk) Write(p []byte) (int, error) {
	if d.slow != nil {
		<-d.slow
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.isFull {
		n, _ := d.text.Write(p[:len(p)/2])
		return n, errors.New("no space left on device")
	}
	return d.text.Write(p)
}

func (d *disk) setFull(isFull bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.isFull = isFull
}

// counts reads the lines: how many are whole, and how many were told to be lost.
func (d *disk) counts() (whole, lost int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for line := range strings.Lines(d.text.String()) {
		var read struct {
			Lost   int
			Status int
		}
		if json.Unmarshal([]byte(line), &read) == nil && read.Status == 200 {
			whole++
		}
		lost += read.Lost
	}
	return whole, lost
}

func TestLinesAreWrittenSoonAndCountedWhenTheyCannotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := &disk{}
		w := NewWriter(file, slog.New(slog.NewTextHandler(t.Output(), nil)))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.Run(ctx)
		}()
		add := func(lines int) {
			for range lines {
				w.Access(aRecord())
			}
		}
		want := func(when string, wantWhole, wantLost int) {
			t.Helper()
			if whole, lost := file.counts(); whole != wantWhole || lost != wantLost {
				t.Errorf("%s, %d lines and %d lost, want %d and %d", when, whole, lost, wantWhole, wantLost)
			}
		}
		add(3)
		time.Sleep(2 * writeEvery)
		want("soon", 3, 0)
		file.setFull(true)
		add(2)
		time.Sleep(2 * writeEvery)
		add(1)
		time.Sleep(2 * writeEvery)
		file.setFull(false)
		add(4)
		time.Sleep(2 * writeEvery)
		if whole, lost := file.counts(); whole < 7 || lost != 3 {
			t.Errorf("once the disk has room again, %d lines and %d lost", whole, lost)
		}
		before, _ := file.counts()
		add(5)
		cancel()
		<-ended
		want("at the end", before+5, 3)
	})
}

func TestRequestsDoNotWaitForASlowDisk(t *testing.T) {
	file := &disk{slow: make(chan struct{})}
	w := NewWriter(file, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx)
	}()
	const lines = 4 * (shardCount * maxShardBytes / 400)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range lines / 4 {
				w.Access(aRecord())
			}
		})
	}
	group.Wait()
	cancel()
	close(file.slow)
	<-ended
	whole, lost := file.counts()
	if lost += int(w.lost.Load()); whole+lost != lines || lost == 0 || whole == 0 {
		t.Errorf("of %d lines %d were written and %d lost", lines, whole, lost)
	}
}

func BenchmarkAccessLine(b *testing.B) {
	record, clock := aRecord(), &lineClock{}
	buffer := make([]byte, 0, 4<<10)
	b.ReportAllocs()
	for b.Loop() {
		buffer = appendLine(buffer[:0], &record, clock)
	}
}

func BenchmarkAccessWriter(b *testing.B) {
	w := NewWriter(discard{}, slog.New(slog.DiscardHandler))
	record := aRecord()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.Access(record)
		if i%200 == 0 {
			w.write()
		}
	}
	if w.lost.Load() > 0 {
		b.Errorf("%d lines were lost", w.lost.Load())
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
