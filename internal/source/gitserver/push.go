package gitserver

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/apron-run/apron/internal/source"
)

// Push is a branch that got a new commit, or was deleted.
type Push struct {
	// Repository is the name without ".git".
	Repository string
	Branch     string
	// Commit is empty when the branch was deleted.
	Commit string
	// IsForced says that the branch's commit before is not in it any more.
	IsForced bool
	// Except is the name of a service that whoever pushed brings up by itself; empty for none.
	Except string
}

// ExceptHeader is how a client that pushes says which service it brings up by itself.
const ExceptHeader = "Apron-Deploys"

// Recover announces the pushes that a crash kept from being announced. Call it before the first request.
func (s *Server) Recover(ctx context.Context) error {
	return s.unannounced().Each(func(name string, raw json.RawMessage) {
		var before map[string]string
		_ = json.Unmarshal(raw, &before) // without it all branches have changed
		if s.exists(name) {
			s.announce(ctx, name, before, "")
		}
	})
}

// unannounced are the pushes that run; no repository's name begins with a dot.
func (s *Server) unannounced() source.Unfinished {
	return source.Unfinished{Dir: filepath.Join(s.config.Dir, ".pushes")}
}

func (s *Server) forget(name string, end func() error) {
	if err := end(); err != nil {
		s.config.Log.Error("the next start announces a push again", "repository", name, "error", err)
	}
}

// push takes one push, in its turn, and announces it. An error comes before the answer has begun.
func (s *Server) push(w http.ResponseWriter, r *http.Request, name string, body io.Reader, answer io.Writer) (tells []func(context.Context, io.Writer), err error) {
	release, err := s.claim(r.Context(), name)
	if err != nil {
		return nil, err
	}
	defer release()
	before, err := s.branches(r.Context(), name)
	if err != nil {
		return nil, err
	}
	end, err := s.unannounced().Begin(name, before)
	if err != nil {
		return nil, err
	}
	defer s.forget(name, end)
	w.Header().Set("Content-Type", "application/x-git-receive-pack-result")
	cmd, tail := s.command(r, "receive-pack", "--stateless-rpc", s.path(name))
	cmd.Stdin, cmd.Stdout = body, answer
	s.logFailure(r, name, cmd.Run(), tail)
	// The refs may have moved even when the client left before the end.
	return s.announce(context.WithoutCancel(r.Context()), name, before, r.Header.Get(ExceptHeader)), nil
}

// announce compares the branches with those before a push, lets HEAD follow the first one, and reports what changed. It
// returns what is to be called to tell of it.
func (s *Server) announce(ctx context.Context, name string, before map[string]string, except string) (tells []func(context.Context, io.Writer)) {
	after, err := s.branches(ctx, name)
	if err != nil {
		s.config.Log.Error("push not announced", "repository", name, "error", err)
		return nil
	}
	if err := s.follow(ctx, name, after); err != nil {
		s.config.Log.Error("HEAD not set", "repository", name, "error", err)
	}
	var changed []string
	for branch, commit := range after {
		if before[branch] != commit {
			changed = append(changed, branch)
		}
	}
	for branch := range before {
		if after[branch] == "" {
			changed = append(changed, branch)
		}
	}
	slices.Sort(changed)
	for _, branch := range changed {
		push := Push{Repository: name, Branch: branch, Commit: after[branch], Except: except}
		push.IsForced = s.hasLeft(ctx, name, before[branch], after[branch])
		s.config.Log.Info("branch pushed", "repository", name, "branch", branch, "commit", push.Commit, "forced", push.IsForced)
		if s.config.OnPush == nil {
			continue
		}
		if tell := s.config.OnPush(ctx, push); tell != nil {
			tells = append(tells, tell)
		}
	}
	return tells
}

// hasLeft says whether a branch that was at before, and is at after, does not lead there any more.
func (s *Server) hasLeft(ctx context.Context, name, before, after string) bool {
	if before == "" || after == "" {
		return false
	}
	_, err := s.git(ctx, "--git-dir="+s.path(name), "merge-base", "--is-ancestor", before, after)
	var ended *exec.ExitError
	return errors.As(err, &ended) && ended.ExitCode() == 1 // others say that it is not known, as in a shallow history
}
