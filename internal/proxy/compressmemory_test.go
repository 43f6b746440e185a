package proxy

import (
	"io"
	"net/http"
	"runtime"
	"testing"
)

func TestAnOpenEventStreamHoldsLittleMemory(t *testing.T) {
	const streams = 50
	header := http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}}
	used := func() uint64 {
		runtime.GC()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		return memory.HeapAlloc
	}
	before := used()
	var open []*compressed
	for range streams {
		stream := newCompressed(header, io.Discard, func() error { return nil })
		if _, err := io.WriteString(stream, "data: hello\n\n"); err != nil || stream.Flush() != nil {
			t.Fatal(err)
		}
		open = append(open, stream)
	}
	if each := (int64(used()) - int64(before)) / streams; each > 32<<10 {
		t.Errorf("each holds %d bytes", each)
	}
	for _, stream := range open {
		stream.free()
	}
}
