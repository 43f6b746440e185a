// There are as many of this process as there are instances, most of them asleep: none need follow how many processors there are.
//
//go:debug updatemaxprocs=0

// Command apron-log writes the output of one instance to a file. The shim of containerd starts it with the instance and
// gives it the app's stdout as file 3, its stderr as file 4, and file 5 to close when it is ready (containerd, "binary"
// log driver). It needs nothing else, so that output is kept whatever happens to apron, and it never stops reading: an
// app is not made to wait because a disk is full.
//
// A line is written as TIME STREAM TEXT. The file is rotated at 10 MB; two older ones stay.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"time"
)

const (
	maxFileBytes = 10 << 20
	olderFiles   = 2
	// maxLine is where a longer line is broken.
	maxLine = 16 << 10
)

func main() {
	if len(os.Args) < 2 {
		os.Exit(2)
	}
	// It collects when it comes to its limit, and never by the clock: there are as many of it as there are instances.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(8 << 20)
	log := &rotated{path: os.Args[1]}
	log.open()
	stdout, stderr := os.NewFile(3, "stdout"), os.NewFile(4, "stderr")
	ready := os.NewFile(5, "ready")
	_ = ready.Close()
	var streams sync.WaitGroup
	streams.Go(func() { copyLines(log, "stdout", stdout) })
	streams.Go(func() { copyLines(log, "stderr", stderr) })
	streams.Wait()
}

// startFailure begins what runc prints, to the app's stderr and before the app could, when it cannot start the app.
// Whoever asked for the start gets it as an error.
var startFailure = []byte("runc create failed: ")

// copyLines writes each line that source gives, until it ends.
func copyLines(log *rotated, stream string, source io.Reader) {
	lines := bufio.NewReaderSize(source, maxLine)
	for isFirst := true; ; isFirst = false {
		line, err := lines.ReadSlice('\n')
		if isFirst && bytes.HasPrefix(line, startFailure) {
			_, _ = io.Copy(io.Discard, lines) // the app never ran
			return
		}
		if len(line) > 0 {
			if line[len(line)-1] == '\n' {
				line = line[:len(line)-1]
			}
			log.write(stream, line)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// rotated is a file that is replaced by a new one when it is full.
type rotated struct {
	mu     sync.Mutex // guards what follows
	path   string
	file   *os.File
	size   int64
	buffer []byte
}

// write writes one line. What cannot be written is dropped: there is nobody to tell.
func (r *rotated) write(stream string, text []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.buffer = time.Now().UTC().AppendFormat(r.buffer[:0], "2006-01-02T15:04:05.000000000Z07:00")
	r.buffer = append(r.buffer, ' ')
	r.buffer = append(r.buffer, stream...)
	r.buffer = append(r.buffer, ' ')
	r.buffer = append(r.buffer, text...)
	r.buffer = append(r.buffer, '\n')
	if r.file == nil || r.size+int64(len(r.buffer)) > maxFileBytes {
		r.rotate()
	}
	if r.file == nil {
		return
	}
	n, err := r.file.Write(r.buffer)
	r.size += int64(n)
	if err != nil && n > 0 { // half a line would spoil the next one
		if r.file.Truncate(r.size-int64(n)) == nil {
			r.size -= int64(n)
		}
	}
}

func (r *rotated) open() {
	file, err := os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.file = nil
		return
	}
	r.file, r.size = file, 0
	if info, err := file.Stat(); err == nil {
		r.size = info.Size()
	}
}

func (r *rotated) rotate() {
	if r.file != nil {
		_ = r.file.Close()
		for i := olderFiles; i > 0; i-- {
			_ = os.Rename(r.older(i-1), r.older(i))
		}
	}
	r.open()
}

// older names the file of so many rotations ago; 0 is the current one.
func (r *rotated) older(n int) string {
	if n == 0 {
		return r.path
	}
	return r.path + "." + strconv.Itoa(n)
}
