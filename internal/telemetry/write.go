package telemetry

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// appendRotating appends line to path; a file that would grow beyond maxBytes is renamed to path.1 first, the one
// before to path.2, up to keep of them.
func appendRotating(path string, line []byte, maxBytes int64, keep int) error {
	if info, err := os.Stat(path); err == nil && info.Size()+int64(len(line)) > maxBytes {
		for i := keep; i > 1; i-- {
			if err := os.Rename(rotated(path, i-1), rotated(path, i)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		if err := os.Rename(path, rotated(path, 1)); err != nil {
			return err
		}
	}
	file, err := openAppend(path)
	if err != nil {
		return err
	}
	_, err = file.Write(line)
	return errors.Join(err, file.Close())
}

func rotated(path string, i int) string { return fmt.Sprintf("%s.%d", path, i) }

func openAppend(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// deploymentFile is one deployment log that is being written, by one or more writers.
type deploymentFile struct {
	logs *Logs
	path string
	// writers is how many have it open; guarded by logs.mu.
	writers int

	// mu guards all below.
	mu   sync.Mutex
	file *os.File
	size int64
	// late holds the last lines beyond the bound, and skipped counts those that fell out of it.
	late      [][]byte
	lateBytes int
	skipped   int
}

// Beyond the bound a deployment log takes so many bytes of last lines at a Close, and never more than the hard bound.
const (
	maxLateBytes           = 64 << 10
	hardMaxDeploymentBytes = maxDeploymentBytes + 16*maxLateBytes
)

// share returns the open log at path, opening it for the first writer.
func (l *Logs) share(path string) (*deploymentFile, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if file, isOpen := l.open[path]; isOpen {
		file.writers++
		return file, nil
	}
	_, err := os.Stat(path)
	isNew := errors.Is(err, os.ErrNotExist)
	file, err := openAppend(path)
	if err != nil {
		return nil, err
	}
	if isNew {
		prune(filepath.Dir(path), maxDeploymentLogs, time.Time{})
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	shared := &deploymentFile{logs: l, path: path, writers: 1, file: file, size: info.Size()}
	l.open[path] = shared
	return shared, nil
}

// release is called by each writer's Close.
func (f *deploymentFile) release() error {
	f.logs.mu.Lock()
	f.writers--
	isLast := f.writers == 0
	if isLast {
		delete(f.logs.open, f.path)
	}
	f.logs.mu.Unlock()

	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.flushLate()
	if isLast {
		err = errors.Join(err, f.file.Close())
	}
	return err
}

func (f *deploymentFile) writeLine(text string) error {
	line := formatLine(f.logs.now(), streamDeployment, text)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.size+int64(len(line)) <= maxDeploymentBytes {
		return f.append(line)
	}
	f.late = append(f.late, line)
	f.lateBytes += len(line)
	for f.lateBytes > maxLateBytes {
		f.lateBytes -= len(f.late[0])
		f.late = f.late[1:]
		f.skipped++
	}
	return nil
}

// flushLate writes the lines that came after the bound, so that a log that was cut still ends with its end.
func (f *deploymentFile) flushLate() error {
	late := f.late
	if f.skipped > 0 {
		note := fmt.Sprintf("[apron] The output was cut at %d MB; %d lines are left out here.", maxDeploymentBytes>>20, f.skipped)
		late = append([][]byte{formatLine(f.logs.now(), streamDeployment, note)}, late...)
	}
	f.late, f.lateBytes, f.skipped = nil, 0, 0
	for _, line := range late {
		if f.size+int64(len(line)) > hardMaxDeploymentBytes {
			return nil
		}
		if err := f.append(line); err != nil {
			return err
		}
	}
	return nil
}

func (f *deploymentFile) append(line []byte) error {
	n, err := f.file.Write(line)
	f.size += int64(n)
	return err
}

// deploymentWriter cuts what is written into lines.
type deploymentWriter struct {
	file *deploymentFile
	// mu guards partial and isClosed.
	mu       sync.Mutex
	partial  []byte
	isClosed bool
}

// Write takes all of p whatever happens, so that a full disk does not end a build.
func (w *deploymentWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isClosed {
		return 0, os.ErrClosed
	}
	w.partial = append(w.partial, p...)
	for {
		end := bytes.IndexByte(w.partial, '\n')
		if end < 0 && len(w.partial) < maxLineBytes {
			return len(p), nil
		}
		if end < 0 || end > maxLineBytes {
			w.emit(w.partial[:maxLineBytes])
			w.partial = w.partial[maxLineBytes:]
			continue
		}
		w.emit(w.partial[:end])
		w.partial = w.partial[end+1:]
	}
}

// Close writes a last line that has no newline yet. Closing twice is done already.
func (w *deploymentWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isClosed {
		return nil
	}
	w.isClosed = true
	if len(w.partial) > 0 {
		w.emit(w.partial)
	}
	return w.file.release()
}

// emit writes one line. Of a line that was rewritten with carriage returns, as progress bars do, the last state stays.
func (w *deploymentWriter) emit(raw []byte) {
	text := strings.TrimRight(string(raw), "\r")
	if i := strings.LastIndexByte(text, '\r'); i >= 0 {
		text = text[i+1:]
	}
	if err := w.file.writeLine(text); err != nil {
		slog.Warn("deployment log not written", "path", w.file.path, "error", err)
	}
}
