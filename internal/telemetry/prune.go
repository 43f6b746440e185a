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

// pruneInstances removes the oldest instance logs beyond the limit, those that may still be written to left alone.
func (l *Logs) pruneInstances(dir string) {
	prune(dir, maxInstanceLogs, l.now().Add(-quietInstanceAge))
}

// prune removes the logs in dir that changed longest ago, with their rotated parts, so that at most keep stay. Where
// unchangedSince is not zero, only those that did not change after it are removed.
func prune(dir string, keep int, unchangedSince time.Time) {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) <= keep {
		return
	}
	type log struct {
		path    string
		changed time.Time
	}
	var logs []log
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !strings.HasSuffix(entry.Name(), ".log") {
			continue
		}
		logs = append(logs, log{filepath.Join(dir, entry.Name()), info.ModTime()})
	}
	slices.SortFunc(logs, func(a, b log) int { return b.changed.Compare(a.changed) })
	for i, old := range logs {
		if i < keep || (!unchangedSince.IsZero() && old.changed.After(unchangedSince)) {
			continue
		}
		for _, path := range (stream{old.path}).paths() {
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				slog.Warn("old log not removed", "path", path, "error", err)
			}
		}
	}
}
