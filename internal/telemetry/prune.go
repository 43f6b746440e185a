package telemetry

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// instanceLog is the log of one instance or deployment.
type instanceLog struct {
	path    string
	changed time.Time
	// size counts its rotated parts too; it is known only where it is asked for.
	size int64
}

// pruneInstances removes the oldest instance logs beyond the limits, those that may still be written to left alone. One that
// takes much room and has been still for a while is of an instance that ended: it may go earlier.
func (l *Logs) pruneInstances(dir string) {
	prune(dir, maxInstanceLogs, l.now().Add(-quietInstanceAge))
	pruneBytes(dir, maxInstanceBytes, l.now().Add(-quietLargeAge))
}

// prune removes the logs in dir that changed longest ago, with their rotated parts, so that at most keep stay. Where
// unchangedSince is not zero, only those that did not change after it are removed.
func prune(dir string, keep int, unchangedSince time.Time) {
	logs := newestFirst(dir)
	for i, old := range logs {
		if i < keep || (!unchangedSince.IsZero() && old.changed.After(unchangedSince)) {
			continue
		}
		remove(old)
	}
}

// pruneBytes removes large logs that did not change after unchangedSince, the oldest first, until all together have at most
// that many bytes.
func pruneBytes(dir string, most int64, unchangedSince time.Time) {
	logs, total := newestFirst(dir), int64(0)
	for i := range logs {
		for _, path := range (stream{logs[i].path}).paths() {
			if info, err := os.Stat(path); err == nil {
				logs[i].size += info.Size()
			}
		}
		total += logs[i].size
	}
	for _, old := range slices.Backward(logs) {
		if total <= most {
			return
		}
		if old.size >= largeInstanceLog && !old.changed.After(unchangedSince) {
			remove(old)
			total -= old.size
		}
	}
}

// newestFirst lists the logs in dir, by when they changed.
func newestFirst(dir string) []instanceLog {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var logs []instanceLog
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !strings.HasSuffix(entry.Name(), ".log") {
			continue
		}
		logs = append(logs, instanceLog{path: filepath.Join(dir, entry.Name()), changed: info.ModTime()})
	}
	slices.SortFunc(logs, func(a, b instanceLog) int { return b.changed.Compare(a.changed) })
	return logs
}

// remove removes a log with its rotated parts.
func remove(old instanceLog) {
	for _, path := range (stream{old.path}).paths() {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			slog.Warn("old log not removed", "path", path, "error", err)
		}
	}
}
