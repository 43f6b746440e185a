package recipe

import (
	"bytes"
	"io"
	"slices"
	"sync"
)

// tailWriter passes a tool's output on, a line at a time and as a terminal would show it in the end, and keeps its last lines.
type tailWriter struct {
	next io.Writer
	keep int

	mu      sync.Mutex // guards the fields below
	partial []byte
	last    []string
}

// maxTailLine bounds a line that never ends.
const maxTailLine = 4096

func (w *tailWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.partial = append(w.partial, p...)
	for {
		line, rest, found := bytes.Cut(w.partial, []byte{'\n'})
		if !found && len(w.partial) < maxTailLine {
			break
		}
		line = bytes.TrimSuffix(line, []byte{'\r'})
		line = line[bytes.LastIndexByte(line, '\r')+1:] // what a progress bar has overwritten
		w.last = append(w.last, string(line))
		if len(w.last) > w.keep {
			w.last = w.last[1:]
		}
		w.partial = slices.Clone(rest)
		if _, err := w.next.Write([]byte(w.last[len(w.last)-1] + "\n")); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// lines returns the last lines, oldest first.
func (w *tailWriter) lines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.last)
}
