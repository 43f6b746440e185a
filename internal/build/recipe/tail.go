package recipe

import (
	"bytes"
	"io"
	"slices"
	"sync"
)

// tailWriter passes a tool's output on and keeps its last lines.
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
	w.partial = append(w.partial, p...)
	for {
		line, rest, found := bytes.Cut(w.partial, []byte{'\n'})
		if !found && len(w.partial) < maxTailLine {
			break
		}
		w.last = append(w.last, string(line))
		if len(w.last) > w.keep {
			w.last = w.last[1:]
		}
		w.partial = slices.Clone(rest)
	}
	w.mu.Unlock()
	return w.next.Write(p)
}

// lines returns the last lines, oldest first.
func (w *tailWriter) lines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.last)
}
