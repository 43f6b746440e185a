package telemetry

import "sync"

// ProgramLog is the log of apron itself when it runs in the background: a bounded file, the two before it kept as
// NAME.1 and NAME.2. Each Write is a line. It may be used by several goroutines.
type ProgramLog struct {
	path     string
	maxBytes int64
	maxFiles int
	mu       sync.Mutex // one line after the other, and one rotation at a time
}

const (
	maxProgramLogBytes = 10 << 20
	maxProgramLogFiles = 2
	maxAccessLogBytes  = 50 << 20
	maxAccessLogFiles  = 1
)

// NewProgramLog returns the log at path, which is made by the first line.
func NewProgramLog(path string) *ProgramLog {
	return &ProgramLog{path: path, maxBytes: maxProgramLogBytes, maxFiles: maxProgramLogFiles}
}

// NewAccessLog returns the access log at path, of which one file stays beside the current one. Each Write is any number of lines.
func NewAccessLog(path string) *ProgramLog {
	return &ProgramLog{path: path, maxBytes: maxAccessLogBytes, maxFiles: maxAccessLogFiles}
}

// Write appends p.
func (l *ProgramLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := appendRotating(l.path, p, l.maxBytes, l.maxFiles); err != nil {
		return 0, err
	}
	return len(p), nil
}
