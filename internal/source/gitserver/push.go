package gitserver

import (
	"context"
	"slices"
)

// Push is a branch that got a new commit.
type Push struct {
	// Repository is the name without ".git".
	Repository string
	Branch     string
	Commit     string
	// Except is the name of a service that whoever pushed brings up by itself; empty for none.
	Except string
}

// ExceptHeader is how a client that pushes says which service it brings up by itself.
const ExceptHeader = "Apron-Deploys"

// announce compares the branches with those before a push, lets HEAD follow the first one, and reports what changed.
func (s *Server) announce(ctx context.Context, name string, before map[string]string, except string) {
	after, err := s.branches(ctx, name)
	if err != nil {
		s.config.Log.Error("push not announced", "repository", name, "error", err)
		return
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
	slices.Sort(changed)
	for _, branch := range changed {
		s.config.Log.Info("branch pushed", "repository", name, "branch", branch, "commit", after[branch])
		if s.config.OnPush != nil {
			s.config.OnPush(ctx, Push{Repository: name, Branch: branch, Commit: after[branch], Except: except})
		}
	}
}
