package accesslog

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// shardCount is how many requests may add their lines at the same time.
	shardCount = 8
	// maxShardBytes bounds what each of them holds while the disk is slow. Beyond that, lines are lost.
	maxShardBytes = 256 << 10
	// writeEvery is how late a line is written at most.
	writeEvery = 100 * time.Millisecond
)

// Writer is an Log that writes a line of JSON for each request. A request only adds its line to a buffer in memory: it
// waits neither for the disk nor for another request. Lines that find no room, or that cannot be written, are counted, and the count
// is written once that can be done again.
type Writer struct {
	out    io.Writer
	log    *slog.Logger
	shards [shardCount]shard
	// hasLines says that Run was told so by wake; isLong, that a shard is half full.
	hasLines atomic.Bool
	wake     chan struct{}
	isLong   chan struct{}
	lost     atomic.Int64

	// For Run alone.
	batch    []byte
	isBroken bool // the last line may be cut short
}

type shard struct {
	mu    sync.Mutex // guards what follows
	lines []byte
	clock lineClock
	_     [64]byte // another shard is on another cache line
}

// NewWriter returns a writer to out, each of whose Writes has whole lines. log is told of lines that are lost.
func NewWriter(out io.Writer, log *slog.Logger) *Writer {
	return &Writer{out: out, log: log, wake: make(chan struct{}, 1), isLong: make(chan struct{}, 1)}
}

// Access adds a line.
func (w *Writer) Access(record Record) {
	shard := w.lockShard()
	if len(shard.lines) >= maxShardBytes {
		shard.mu.Unlock()
		w.lost.Add(1)
		return
	}
	shard.lines = appendLine(shard.lines, &record, &shard.clock)
	isLong := len(shard.lines) >= maxShardBytes/2
	shard.mu.Unlock()
	if isLong {
		signal(w.isLong)
	}
	if !w.hasLines.Load() && w.hasLines.CompareAndSwap(false, true) {
		signal(w.wake)
	}
}

// lockShard locks one that is free, as long as there is one.
func (w *Writer) lockShard() *shard {
	first := rand.Uint32()
	for i := range uint32(shardCount) {
		if shard := &w.shards[(first+i)%shardCount]; shard.mu.TryLock() {
			return shard
		}
	}
	shard := &w.shards[first%shardCount]
	shard.mu.Lock()
	return shard
}

func signal(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// Run writes lines until ctx ends, and then those that are left.
func (w *Writer) Run(ctx context.Context) {
	timer := time.NewTimer(writeEvery)
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case <-w.wake:
			timer.Reset(writeEvery)
			select {
			case <-timer.C: // the next requests' lines are written with the first
			case <-w.isLong:
			case <-ctx.Done():
			}
		case <-ctx.Done():
		}
		w.hasLines.Store(false) // before the look into the shards: who adds a line after it tells so again
		w.write()
	}
	w.write()
}

// write writes all lines that there are.
func (w *Writer) write() {
	w.batch = w.batch[:0]
	for i := range w.shards {
		shard := &w.shards[i]
		shard.mu.Lock()
		w.batch = append(w.batch, shard.lines...)
		shard.lines = shard.lines[:0]
		shard.mu.Unlock()
	}
	if len(w.batch) == 0 && w.lost.Load() == 0 {
		return
	}
	if !w.tellLost() {
		w.lost.Add(int64(bytes.Count(w.batch, []byte("\n"))))
		return
	}
	if _, err := w.out.Write(w.batch); err != nil {
		w.isBroken = true
		lost := int64(bytes.Count(w.batch, []byte("\n")))
		w.lost.Add(lost)
		w.log.Error("write the access log; its lines are counted until it can be written again", "lines", lost, "error", err)
	}
}

// tellLost writes how many lines were lost, if any were; false when that cannot be written either.
func (w *Writer) tellLost() bool {
	lost := w.lost.Load()
	if lost == 0 && !w.isBroken {
		return true
	}
	line := fmt.Appendf(nil, `{"time":%q,"lost":%d,"problem":"Lines of the access log were lost: the disk was full, or slower than the requests."}`+"\n",
		time.Now().UTC().Format(lineSecond+".000000Z"), lost)
	if w.isBroken {
		line = append([]byte("\n"), line...)
	}
	if _, err := w.out.Write(line); err != nil {
		return false
	}
	w.isBroken = false
	w.lost.Add(-lost)
	w.log.Warn("lines of the access log were lost", "lines", lost)
	return true
}
