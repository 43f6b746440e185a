package telemetry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// FromStart is the token that reads a log from its oldest line on.
const FromStart = "start"

// Limits of one Read.
const (
	defaultReadLines = 1000
	maxReadLines     = 10_000
)

// Read returns lines of a stream, oldest first, and the token to go on with: "events", "deployment/ID", "instance/ID",
// "application" for all instances merged by time, or "access" for the service's lines of the access log. An empty token means the last limit lines, FromStart the first
// ones, and a token from an earlier Read those written since; asking again with the newest token follows the log,
// across rotation. A log that is not there has no lines. limit 0 means 1000.
//
// The errors are ErrInvalidStream, ErrInvalidToken, the end of ctx, and what the file system says.
func (l *Logs) Read(ctx context.Context, service platform.ServiceID, name, token string, limit int) (lines []Line, next string, err error) {
	if limit <= 0 {
		limit = defaultReadLines
	}
	limit = min(limit, maxReadLines)
	if name == streamAccess && l.access != "" {
		return l.readAccess(ctx, service, token, limit)
	}
	places, err := parseToken(token)
	if err != nil {
		return nil, "", err
	}
	paths, err := l.streamPaths(service, name)
	if err != nil {
		return nil, "", err
	}
	var found []sourced
	for name, path := range paths {
		if err := ctx.Err(); err != nil {
			return nil, "", err
		}
		part, err := readPart(path, token, places[name], limit)
		if err != nil {
			return nil, "", fmt.Errorf("read log: %w", err)
		}
		found = append(found, fromOne(name, part)...)
	}
	kept := merge(found, limit, token == "")
	after := map[string]position{}
	for name := range paths {
		after[name] = places[name]
	}
	for _, line := range kept {
		lines = append(lines, line.Line)
	}
	if token == "" {
		kept = found // what a tail leaves out is older than it, and must not come later
	}
	for _, line := range kept {
		after[line.name] = line.after
	}
	return lines, formatToken(after), nil
}

// streamPaths returns the files of a stream by a name that is stable in tokens.
func (l *Logs) streamPaths(service platform.ServiceID, name string) (map[string]string, error) {
	if name != streamApplication {
		path, err := l.streamPath(service, name)
		return map[string]string{"": path}, err
	}
	dir, err := l.serviceDir(service)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(dir, "instances"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read log: %w", err)
	}
	paths := map[string]string{}
	for _, entry := range entries {
		if id, isLog := strings.CutSuffix(entry.Name(), ".log"); isLog {
			paths[id] = filepath.Join(dir, "instances", entry.Name())
		}
	}
	return paths, nil
}

func readPart(path, token string, from position, limit int) ([]placed, error) {
	if token == "" {
		return stream{path}.tail(limit)
	}
	return stream{path}.read(from, limit)
}

// sourced is a line with the name of the log it is from.
type sourced struct {
	placed
	name string
	// order is the line's time, but never before that of the line above it in the same log.
	order time.Time
}

func fromOne(name string, lines []placed) []sourced {
	found := make([]sourced, len(lines))
	var order time.Time
	for i, line := range lines {
		if line.Time.After(order) {
			order = line.Time
		}
		found[i] = sourced{line, name, order}
	}
	return found
}

// merge orders lines by time, each log's own order kept, and returns the limit first, or last, ones.
func merge(lines []sourced, limit int, keepLast bool) []sourced {
	slices.SortStableFunc(lines, func(a, b sourced) int {
		if order := a.order.Compare(b.order); order != 0 {
			return order
		}
		return strings.Compare(a.name, b.name)
	})
	switch {
	case len(lines) <= limit:
		return lines
	case keepLast:
		return lines[len(lines)-limit:]
	default:
		return lines[:limit]
	}
}

// formatToken and parseToken carry the positions, by name of log. A token is opaque to clients.
func formatToken(places map[string]position) string {
	raw, err := json.Marshal(places)
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func parseToken(token string) (map[string]position, error) {
	places := map[string]position{}
	if token == "" || token == FromStart {
		return places, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || json.Unmarshal(raw, &places) != nil || len(raw) > 64<<10 {
		return nil, ErrInvalidToken
	}
	return places, nil
}
