//go:build failpoint

package failpoint

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// files is what the names of this process's files begin with; empty when no folder is given.
var files = func() string {
	if dir := os.Getenv(Variable); dir != "" {
		return filepath.Join(dir, fmt.Sprint(os.Getpid()))
	}
	return ""
}()

// Pass says that an operation passes a point. It does not return when that is the armed one.
func Pass(operation platform.OperationType, of, moment string) {
	if files == "" {
		return
	}
	point := Point(operation, of, moment)
	if err := note(point); err != nil {
		slog.Error("note a failpoint", "point", point, "error", err)
	}
	if armed, err := os.ReadFile(files + ".armed"); err == nil && string(armed) == point {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing more happens here until the signal has come
	}
}

// note writes one line: the time in nanoseconds, and the point.
func note(point string) error {
	file, err := os.OpenFile(files+".passed", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, "%d %s\n", time.Now().UnixNano(), point)
	if failed := file.Close(); err == nil {
		err = failed
	}
	return err
}
