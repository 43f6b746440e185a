package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/apron-run/apron/internal/source/gitexec"
)

// What ends a git command before its time. They are causes of its context.
var (
	errTooLarge   = errors.New("the repository is larger than the limit")
	errSilent     = errors.New("the server went silent")
	errTooMuch    = errors.New("the answer is larger than the limit")
	errWentOnLong = errors.New("git took too long")
)

// commandError is a git command that failed.
type commandError struct {
	// verb is the git command: "fetch".
	verb string
	// lines are the last lines of its standard error, without secrets.
	lines []string
	// err is why: a cause of the context, or how the process ended.
	err error
}

func (e *commandError) Error() string {
	if len(e.lines) == 0 {
		return fmt.Sprintf("git %s: %v", e.verb, e.err)
	}
	return fmt.Sprintf("git %s: %v: %s", e.verb, e.err, e.lines[len(e.lines)-1])
}

func (e *commandError) Unwrap() error { return e.err }

// says whether a line of the command's output contains one of the texts.
func (e *commandError) says(texts ...string) bool {
	for _, line := range e.lines {
		for _, text := range texts {
			if strings.Contains(line, text) {
				return true
			}
		}
	}
	return false
}

// command is one run of git.
type command struct {
	args  []string
	dir   string
	stdin io.Reader
	// stdout takes the output; nil drops it.
	stdout io.Writer
	// watched is a folder whose size is bounded and whose growth is a sign of life; empty for commands without one.
	watched string
}

// run runs git and waits for it. The error is a *commandError once git was started.
func (r *Repositories) run(parent context.Context, s *scratch, c command) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	var touched atomic.Int64
	tail := &gitexec.Tail{Touched: func() { touched.Add(1) }}
	options := s.options
	if c.watched != "" {
		// A moment to remove its temporary packs.
		options.Grace = time.Second
	}
	cmd := gitexec.Command(ctx, options, c.args...)
	cmd.Stdin, cmd.Stderr = c.stdin, tail
	if c.dir != "" {
		cmd.Dir = c.dir
	}
	if c.stdout != nil {
		cmd.Stdout = writerFunc(func(p []byte) (int, error) {
			touched.Add(1)
			n, err := c.stdout.Write(p)
			if err != nil {
				cancel(err)
			}
			return n, err
		})
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start git: %w", err)
	}
	watch := make(chan struct{})
	go func() {
		defer close(watch)
		r.watch(ctx, cancel, c.watched, &touched)
	}()
	err := cmd.Wait()
	cause := context.Cause(ctx)
	cancel(nil)
	<-watch
	if err == nil {
		return nil
	}
	switch {
	case cause != nil:
		err = cause
	case folderSize(c.watched) > r.config.Limits.Bytes:
		err = errTooLarge // the limit of a file's size came before the watch, and git says of it what it likes
	}
	if ended := parent.Err(); ended != nil && !errors.Is(err, ended) && !isOurs(err) {
		err = fmt.Errorf("%w: %w", ended, err)
	}
	return &commandError{verb: verb(c.args), lines: redactAll(tail.Lines(), s.secrets), err: err}
}

// watch ends the command when the folder grows too large or nothing moves for too long.
func (r *Repositories) watch(ctx context.Context, cancel context.CancelCauseFunc, folder string, touched *atomic.Int64) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	var lastSize, lastTouched int64
	lastSign := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			size := folderSize(folder)
			if size > r.config.Limits.Bytes {
				cancel(errTooLarge)
				return
			}
			if t := touched.Load(); size != lastSize || t != lastTouched {
				lastSize, lastTouched, lastSign = size, t, now
			}
			if now.Sub(lastSign) > r.config.Limits.Silence {
				cancel(errSilent)
				return
			}
		}
	}
}

// folderSize adds the sizes of the files that can be seen; files that vanish while looking count nothing.
func folderSize(folder string) (total int64) {
	if folder == "" {
		return 0
	}
	_ = filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil
		}
		if info, err := entry.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total
}

// output runs a git command whose output is small.
func (r *Repositories) output(ctx context.Context, s *scratch, limit int, args ...string) (string, error) {
	var output bytes.Buffer
	stdout := writerFunc(func(p []byte) (int, error) {
		if output.Len()+len(p) > limit {
			return 0, errTooMuch
		}
		return output.Write(p)
	})
	if err := r.run(ctx, s, command{args: args, stdout: stdout}); err != nil {
		return "", err
	}
	return output.String(), nil
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// verb is the first argument that is not an option.
func verb(args []string) string {
	for _, arg := range args {
		if !strings.HasPrefix(arg, "-") {
			return arg
		}
	}
	return ""
}
