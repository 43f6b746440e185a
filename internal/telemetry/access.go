package telemetry

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// The access log is one file for all services, which the data plane writes: a line of JSON for each request, that begins with its
// time and its service's id; what clients send comes after those. A line that says how many were lost is everybody's.
const (
	accessTime    = `{"time":"`
	accessService = `","service_id":"`
	accessLost    = `","lost":`
	// maxAccessTime bounds the length of a time.
	maxAccessTime = 40
	// askEvery is how many lines are read before the end of a reader's context is noticed.
	askEvery = 10_000
)

// WithAccess makes the access log at path readable as each service's stream "access".
func (l *Logs) WithAccess(path string) *Logs {
	l.access = path
	return l
}

// readAccess is Read for the lines of the access log that are the service's. Their Message is the JSON.
func (l *Logs) readAccess(ctx context.Context, service platform.ServiceID, token string, limit int) (lines []Line, next string, err error) {
	places, err := parseToken(token)
	if err != nil {
		return nil, "", err
	}
	if !isID(string(service)) {
		return nil, "", fmt.Errorf("service id %q: %w", service, ErrInvalidStream)
	}
	at := places[""]
	files, first, offset, err := stream{l.access}.openAt(at)
	if err != nil {
		return nil, "", fmt.Errorf("read log: %w", err)
	}
	defer closeAll(files)
	isTail := token == ""
	for _, file := range files[first:] {
		if !isTail && len(lines) == limit {
			break
		}
		read := accessReader{service: accessService + string(service) + `"`, lines: lines, limit: limit, isTail: isTail}
		if offset, err = read.file(ctx, file, offset); err != nil {
			return nil, "", fmt.Errorf("read log: %w", err)
		}
		lines, at, offset = read.lines, position{file.fingerprint, offset}, 0
	}
	if extra := len(lines) - limit; isTail && extra > 0 {
		lines = lines[extra:]
	}
	// Lines are written some at a time, each when its request is over.
	slices.SortStableFunc(lines, func(a, b Line) int { return cmp.Compare(a.Time.UnixNano(), b.Time.UnixNano()) })
	return lines, formatToken(map[string]position{"": at}), nil
}

// accessReader gathers a service's lines: the first ones up to limit, or the last ones, with some more before them.
type accessReader struct {
	service string
	lines   []Line
	limit   int
	isTail  bool
}

// file reads one file's complete lines from offset on, and returns the offset behind those that it has read.
func (r *accessReader) file(ctx context.Context, file opened, offset int64) (int64, error) {
	if offset < 0 || offset > file.size {
		offset = 0
	}
	reader := bufio.NewReaderSize(io.NewSectionReader(file.file, offset, file.size-offset), maxLineBytes)
	for count := 1; r.isTail || len(r.lines) < r.limit; count++ {
		raw, err := reader.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return offset, nil
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return offset, err
		}
		if count%askEvery == 0 && ctx.Err() != nil {
			return offset, ctx.Err()
		}
		offset += int64(len(raw))
		if line, isWanted := r.parse(raw); isWanted {
			r.lines = append(r.lines, line)
		}
		if r.isTail && len(r.lines) >= 2*r.limit {
			r.lines = append(r.lines[:0], r.lines[len(r.lines)-r.limit:]...)
		}
	}
	return offset, nil
}

func (r *accessReader) parse(raw []byte) (line Line, isWanted bool) {
	stamp, isLine := bytes.CutPrefix(raw, []byte(accessTime))
	end := bytes.IndexByte(stamp, '"')
	if !isLine || end < 0 || end > maxAccessTime || !bytes.HasSuffix(raw, []byte("}\n")) {
		return line, false
	}
	rest := stamp[end:]
	if !bytes.HasPrefix(rest, []byte(r.service)) && !bytes.HasPrefix(rest, []byte(accessLost)) {
		return line, false
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp[:end]))
	return Line{Time: at, Stream: streamAccess, Message: string(bytes.TrimSuffix(raw, []byte("\n")))}, err == nil
}
