package git

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// commitPattern is a full commit id, SHA-1 or SHA-256.
var commitPattern = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// What bounds the answers to questions that should be short.
const (
	listTime  = time.Minute
	listBytes = 32 << 20
)

// listRefs returns the commits of the refs that match pattern.
func (r *Repositories) listRefs(ctx context.Context, s *scratch, pattern string) (map[string]string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, listTime, errWentOnLong)
	defer cancel()
	var output string
	err := r.retry(ctx, func() (err error) {
		output, err = r.output(ctx, s, listBytes, "ls-remote", "--", s.from.argument, pattern)
		return err
	})
	if err != nil {
		return nil, r.explain(s.from, err)
	}
	refs := map[string]string{}
	for line := range strings.Lines(output) {
		commit, ref, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if ok && commitPattern.MatchString(commit) {
			refs[ref] = commit
		}
	}
	return refs, nil
}

// errCommitGone says that no branch has the commit any more.
var errCommitGone = errors.New("no branch has the commit")

// fetchCommit brings commit into the scratch's repository: by its id, or, where the server answers only to names, by
// the refs that have it.
func (r *Repositories) fetchCommit(ctx context.Context, s *scratch, refs, commit string) error {
	if err := r.initialize(ctx, s, commit); err != nil {
		return err
	}
	err := r.fetchRef(ctx, s, 1, commit)
	if !isRefusedByID(err) {
		return r.explain(s.from, err)
	}
	// Depth 50 for a branch that went on since it was resolved; 0 for servers that cannot cut a history (dumb HTTP).
	for _, depth := range []int{1, 50, 0} {
		err = r.fetchRef(ctx, s, depth, refs)
		if isRefusedShallow(err) {
			continue
		}
		if err != nil {
			return r.explain(s.from, err)
		}
		if r.run(ctx, s, command{args: []string{"--git-dir=" + s.repository(), "cat-file", "-e", commit + "^{commit}"}}) == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("look for commit: %w", context.Cause(ctx))
		}
	}
	return errCommitGone
}

// initialize makes the scratch's repository, of the kind that commit is of.
func (r *Repositories) initialize(ctx context.Context, s *scratch, commit string) error {
	format := "sha1"
	if len(commit) == 64 {
		format = "sha256"
	}
	args := []string{"init", "--quiet", "--bare", "--template=", "--object-format=" + format, "--", s.repository()}
	if err := r.run(ctx, s, command{args: args}); err != nil {
		return fmt.Errorf("make repository: %w", err)
	}
	return nil
}

// fetchRef fetches one thing with so much history; depth 0 means all of it.
func (r *Repositories) fetchRef(ctx context.Context, s *scratch, depth int, what string) error {
	args := []string{"--git-dir=" + s.repository(), "fetch", "--progress", "--no-tags", "--no-recurse-submodules",
		"--no-auto-maintenance", "--no-show-forced-updates"}
	if depth > 0 {
		args = append(args, fmt.Sprintf("--depth=%d", depth))
	}
	args = append(args, "--", s.from.argument, what)
	return r.retry(ctx, func() error {
		return r.run(ctx, s, command{args: args, watched: filepath.Join(s.repository(), "objects")})
	})
}

// retry repeats what fails by a passing trouble.
func (r *Repositories) retry(ctx context.Context, do func() error) error {
	err := do()
	for _, wait := range r.retryAfter {
		if !isPassing(err) {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
		err = do()
	}
	return err
}

func isRefusedByID(err error) bool {
	var failure *commandError
	return errors.As(err, &failure) && (isRefusedShallow(err) ||
		failure.says("not our ref", "unadvertised object", "couldn't find remote ref", "no such remote ref"))
}

func isRefusedShallow(err error) bool {
	var failure *commandError
	return errors.As(err, &failure) && failure.says("does not support shallow")
}
