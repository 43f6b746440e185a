package telemetry

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

var (
	// ErrInvalidStream says that a stream's name, or an id in it, is none.
	ErrInvalidStream = errors.New("not a log stream: want events, deployment/ID, instance/ID, application or access")
	// ErrInvalidToken says that a token did not come from Read.
	ErrInvalidToken = errors.New("not a token of this log")
)

// Limits of what is kept.
const (
	maxEventsBytes     = 1 << 20
	maxEventsFiles     = 2 // rotated ones, beside the current one
	maxDeploymentBytes = 10 << 20
	maxDeploymentLogs  = 50
	maxInstanceLogs    = 200
	maxLineBytes       = 64 << 10
	// quietInstanceAge is how long an instance's log must be unchanged before it may be pruned: a running instance
	// that has nothing to say keeps its file open.
	quietInstanceAge = 24 * time.Hour
	// maxInstanceBytes is what the logs of a service's instances may have together before large ones go that have not
	// changed for quietLargeAge: an app that ends again and again with much to say would fill the disk within a day.
	maxInstanceBytes = 1 << 30
	largeInstanceLog = 1 << 20
	quietLargeAge    = 10 * time.Minute
)

// Logs is the folder of logs. All methods may be called at the same time.
type Logs struct {
	dir string
	// access is the path of the access log; "" without one.
	access string
	now    func() time.Time

	// mu guards open and the writing of event logs.
	mu sync.Mutex
	// open holds the deployment logs that are being written, by path, so that two writers of one log share its bound.
	open map[string]*deploymentFile
}

// NewLogs returns the logs under dir, which is made when the first line is written.
func NewLogs(dir string) *Logs {
	return &Logs{dir: dir, now: time.Now, open: map[string]*deploymentFile{}}
}

// Event adds one line to the service's event log, with App Runner's prefix. A line that cannot be written is reported
// to the program's own log: nothing a service does depends on its event log.
func (l *Logs) Event(service platform.ServiceID, format string, args ...any) {
	text := "[AppRunner] " + oneLine(fmt.Sprintf(format, args...))
	path, err := l.eventsPath(service)
	if err == nil {
		l.mu.Lock()
		err = appendRotating(path, formatLine(l.now(), streamEvents, text), maxEventsBytes, maxEventsFiles)
		l.mu.Unlock()
	}
	if err != nil {
		slog.Warn("event not written", "service", service, "event", text, "error", err)
	}
}

// Deployment opens the log of one operation for appending; it may be open several times at once. Writes are cut into
// lines, each with its time. Beyond 10 MB only the last lines before Close are kept, after a line that says what was
// left out. It never fails: a log that cannot be written is reported to the program's own log and discards.
func (l *Logs) Deployment(service platform.ServiceID, operation platform.OperationID) io.WriteCloser {
	path, err := l.deploymentPath(service, operation)
	if err != nil {
		slog.Warn("deployment log not opened", "service", service, "operation", operation, "error", err)
		return discard{}
	}
	file, err := l.share(path)
	if err != nil {
		slog.Warn("deployment log not opened", "service", service, "operation", operation, "error", err)
		return discard{}
	}
	return &deploymentWriter{file: file}
}

// InstancePath is the file that takes an instance's output; its folder is made. It is "" for ids that are none.
func (l *Logs) InstancePath(service platform.ServiceID, instance platform.InstanceID) string {
	path, err := l.instancePath(service, instance)
	if err != nil {
		slog.Warn("no instance log", "service", service, "instance", instance, "error", err)
		return ""
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		slog.Warn("instance log folder not made", "service", service, "instance", instance, "error", err)
	}
	l.pruneInstances(filepath.Dir(path))
	return path
}

// LastLines returns the texts of the last n lines of a stream ("events", "deployment/ID", "instance/ID"), oldest first,
// without their times. What cannot be read is left out.
func (l *Logs) LastLines(service platform.ServiceID, name string, n int) []string {
	path, err := l.streamPath(service, name)
	if err != nil || n <= 0 {
		return nil
	}
	lines, err := stream{path}.tail(n)
	if err != nil {
		slog.Warn("log not read", "service", service, "stream", name, "error", err)
	}
	texts := make([]string, len(lines))
	for i, line := range lines {
		texts[i] = line.Message
	}
	return texts
}

// RemoveService removes all logs of a service. A service without logs is done already.
func (l *Logs) RemoveService(service platform.ServiceID) {
	dir, err := l.serviceDir(service)
	if err == nil {
		err = os.RemoveAll(dir)
	}
	if err != nil {
		slog.Warn("logs not removed", "service", service, "error", err)
	}
}

func (l *Logs) serviceDir(service platform.ServiceID) (string, error) {
	if !isID(string(service)) {
		return "", fmt.Errorf("service id %q: %w", service, ErrInvalidStream)
	}
	return filepath.Join(l.dir, string(service)), nil
}

func (l *Logs) eventsPath(service platform.ServiceID) (string, error) {
	dir, err := l.serviceDir(service)
	return filepath.Join(dir, "events.log"), err
}

func (l *Logs) deploymentPath(service platform.ServiceID, operation platform.OperationID) (string, error) {
	return l.pathOf(service, "deployments", string(operation))
}

func (l *Logs) instancePath(service platform.ServiceID, instance platform.InstanceID) (string, error) {
	return l.pathOf(service, "instances", string(instance))
}

func (l *Logs) pathOf(service platform.ServiceID, folder, id string) (string, error) {
	dir, err := l.serviceDir(service)
	if err != nil {
		return "", err
	}
	if !isID(id) {
		return "", fmt.Errorf("id %q: %w", id, ErrInvalidStream)
	}
	return filepath.Join(dir, folder, id+".log"), nil
}

// streamPath is the file of a stream that is one file.
func (l *Logs) streamPath(service platform.ServiceID, name string) (string, error) {
	kind, id, _ := strings.Cut(name, "/")
	switch {
	case name == streamEvents:
		return l.eventsPath(service)
	case kind == streamDeployment:
		return l.deploymentPath(service, platform.OperationID(id))
	case kind == streamInstance:
		return l.instancePath(service, platform.InstanceID(id))
	}
	return "", fmt.Errorf("stream %q: %w", name, ErrInvalidStream)
}

// isID says whether id is safe as a file name: letters, digits and dashes, at most 64.
func isID(id string) bool {
	if id == "" || len(id) > 64 || id[0] == '-' {
		return false
	}
	for _, c := range []byte(id) {
		isLetterOrDigit := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !isLetterOrDigit && c != '-' {
			return false
		}
	}
	return true
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }
