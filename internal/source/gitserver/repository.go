package gitserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apron-run/apron/internal/source/gitexec"
)

// quickly bounds the git commands that only look at or change a few small files.
const quickly = 30 * time.Second

// serverSettings are for upload-pack, receive-pack and what these start.
func serverSettings(maxPushBytes int64) []string {
	return []string{
		"receive.maxInputSize=" + strconv.FormatInt(maxPushBytes, 10),
		"receive.fsckObjects=true",
		// Packs are kept as they come, checked as a stream: taken apart, large files would be.
		"receive.unpackLimit=1",
		// Old, harmless flaws that many public histories carry; every other finding refuses the push.
		"receive.fsck.badTimezone=warn",
		"receive.fsck.zeroPaddedFilemode=warn",
		"receive.fsck.missingSpaceBeforeDate=warn",
		"receive.fsck.badFilemode=warn",
		// The branch that HEAD names can be rewritten but not removed.
		"receive.denyDeleteCurrent=refuse",
		"receive.denyNonFastForwards=false",
		// Continuous integration pushes from shallow clones.
		"receive.shallowUpdate=true",
		"receive.advertisePushOptions=false",
		// Housekeeping runs at the end of a push, in its turn, every so many packs.
		"receive.autogc=true",
		"maintenance.auto=true",
		"gc.autoPackLimit=20",
		// What no branch has any more may still be wanted by a build that has just begun, and by nothing later.
		"gc.pruneExpire=1.day.ago",
		"uploadpack.allowAnySHA1InWant=true",
		"uploadpack.allowFilter=true",
		"transfer.advertiseSID=false",
	}
}

// Path returns the folder of a repository, whether it exists or not.
func (s *Server) path(name string) string { return filepath.Join(s.config.Dir, name+".git") }

func (s *Server) exists(name string) bool {
	_, err := os.Stat(filepath.Join(s.path(name), "HEAD"))
	return err == nil
}

// ensure makes the repository unless it exists. It appears whole or not at all.
func (s *Server) ensure(ctx context.Context, name string) error {
	if s.exists(name) {
		return nil
	}
	if err := os.MkdirAll(s.config.Dir, 0o700); err != nil {
		return fmt.Errorf("make repository: %w", err)
	}
	temporary, err := os.MkdirTemp(s.config.Dir, ".new-")
	if err != nil {
		return fmt.Errorf("make repository: %w", err)
	}
	defer os.RemoveAll(temporary)
	if _, err := s.git(ctx, "init", "--quiet", "--bare", "--template=", "--initial-branch=main", "--", temporary); err != nil {
		return fmt.Errorf("make repository: %w", err)
	}
	if err := os.Rename(temporary, s.path(name)); err != nil && !errors.Is(err, fs.ErrExist) && !s.exists(name) {
		return fmt.Errorf("make repository: %w", err)
	}
	s.config.Log.Info("repository made", "repository", name)
	return nil
}

// gonePrefix begins the names of repositories that are being removed; no repository's name has it.
const gonePrefix = ".gone-"

// discard removes a repository. It disappears whole; what a removal left that was cut short goes with it.
func (s *Server) discard(name string) error {
	if err := s.clear(); err != nil {
		return err
	}
	if err := os.Rename(s.path(name), filepath.Join(s.config.Dir, gonePrefix+name)); err != nil {
		return fmt.Errorf("remove repository: %w", err)
	}
	s.config.Log.Info("repository removed", "repository", name)
	return s.clear()
}

// clear takes off the disk what is removed.
func (s *Server) clear() error {
	gone, err := filepath.Glob(filepath.Join(s.config.Dir, gonePrefix+"*"))
	if err != nil {
		return fmt.Errorf("remove repository: %w", err)
	}
	for _, dir := range gone {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove repository: %w", err)
		}
	}
	return nil
}

// branches returns the commit of each branch.
func (s *Server) branches(ctx context.Context, name string) (map[string]string, error) {
	output, err := s.git(ctx, "--git-dir="+s.path(name), "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/")
	if err != nil {
		return nil, fmt.Errorf("list branches: %w", err)
	}
	branches := map[string]string{}
	for line := range strings.Lines(output) {
		commit, ref, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok {
			branches[strings.TrimPrefix(ref, "refs/heads/")] = commit
		}
	}
	return branches, nil
}

// follow points HEAD to a branch that exists: main or master when there, else the first by name.
func (s *Server) follow(ctx context.Context, name string, branches map[string]string) error {
	if len(branches) == 0 {
		return nil
	}
	head, err := s.git(ctx, "--git-dir="+s.path(name), "symbolic-ref", "HEAD")
	if err != nil {
		return fmt.Errorf("read HEAD: %w", err)
	}
	if _, ok := branches[strings.TrimPrefix(strings.TrimSpace(head), "refs/heads/")]; ok {
		return nil
	}
	var names []string
	for branch := range branches {
		names = append(names, branch)
	}
	choice := slices.Min(names)
	for _, usual := range []string{"master", "main"} {
		if _, ok := branches[usual]; ok {
			choice = usual
		}
	}
	if _, err := s.git(ctx, "--git-dir="+s.path(name), "symbolic-ref", "HEAD", "refs/heads/"+choice); err != nil {
		return fmt.Errorf("set HEAD: %w", err)
	}
	return nil
}

// git runs a short command and returns what it printed.
func (s *Server) git(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, quickly)
	defer cancel()
	cmd := gitexec.Command(ctx, gitexec.Options{}, args...)
	var output bytes.Buffer
	tail := &gitexec.Tail{}
	cmd.Stdout, cmd.Stderr = &output, tail
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git: %w: %s", err, strings.Join(tail.Lines(), "; "))
	}
	return output.String(), nil
}
