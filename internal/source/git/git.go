// Package git finds the newest commit of a branch and fetches it into a folder, from any Git URL: https, http, ssh,
// git@host:path, file and absolute paths.
//
// It runs the git binary with typed arguments, apart from the machine's own configuration. What an administrator can
// add lies in the data directory: gitconfig (settings, credential helpers), git-credentials (one URL with user and
// password per line) and ssh/ (private keys id_*, config, known_hosts). With a connection's credentials (As) those take the
// place of the administrator's passwords and keys. Passwords in URLs and credentials never become arguments, log lines
// or parts of errors.
//
// A fetch is bounded: in bytes on disk, files, silence and by its context. What cannot be used, such as a symbolic link
// that leads out of the repository, is refused before anything is checked out. Failures that a person can act on are
// a *platform.ExplainedError.
package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source"
)

// Config says where things are and what bounds a fetch.
type Config struct {
	// Data is apron's data directory. Scratch space is in its folder "sources", the repositories of the embedded
	// server in "git".
	Data string
	// Endpoint is apron's own address: its repositories (http://ADDRESS/git/NAME.git) are read from Data.
	Endpoint source.Endpoint
	// IsClosed says whether an address is none that a submodule may be at, other than at the repository's own host; nil
	// closes none.
	IsClosed func(netip.Addr) bool
	Limits   Limits
}

// Limits bound a fetch. Zero values mean the defaults.
type Limits struct {
	// Bytes bounds what is received and, separately, what is checked out. Default 1 GiB.
	Bytes int64
	// Files bounds the number of files. Default 200,000.
	Files int
	// MemoryBytes bounds the memory of each git process. Default 2 GiB.
	MemoryBytes int64
	// Silence is how long a server may send nothing. Default a minute.
	Silence time.Duration
}

// Repositories reads repositories. It is safe for concurrent use.
type Repositories struct {
	config Config
	// access is a connection's credentials; nil means the administrator's.
	access *source.Access
	// retryAfter is how long to wait before each further try of what failed by a passing trouble.
	retryAfter []time.Duration
}

// New returns Repositories. It touches nothing yet.
func New(config Config) *Repositories {
	if config.Limits.Bytes == 0 {
		config.Limits.Bytes = 1 << 30
	}
	if config.Limits.Files == 0 {
		config.Limits.Files = 200_000
	}
	if config.Limits.MemoryBytes == 0 {
		config.Limits.MemoryBytes = 2 << 30
	}
	if config.Limits.Silence == 0 {
		config.Limits.Silence = time.Minute
	}
	return &Repositories{config: config, retryAfter: []time.Duration{time.Second, 3 * time.Second}}
}

// As returns Repositories that ask with the credentials of a connection, and only its host; nil means the administrator's.
func (r *Repositories) As(access *source.Access) *Repositories {
	as := *r
	as.access = access
	return &as
}

// CleanUp removes what fetches that were cut off by a crash left. Call it once, before the first fetch.
func (r *Repositories) CleanUp() error {
	leftovers, err := filepath.Glob(filepath.Join(r.scratchRoot(), scratchPrefix+"*"))
	if err != nil {
		return fmt.Errorf("clean up fetches: %w", err)
	}
	for _, leftover := range leftovers {
		err = errors.Join(err, os.RemoveAll(leftover))
	}
	if err != nil {
		return fmt.Errorf("clean up fetches: %w", err)
	}
	return nil
}

// ResolveCommit returns the full id of the newest commit of code.Branch.
func (r *Repositories) ResolveCommit(ctx context.Context, code platform.CodeSource) (string, error) {
	if !isBranchName(code.Branch) {
		return "", platform.Explain(nil, "%q cannot be the name of a branch", code.Branch).
			Try("correct BranchName in the service's SourceCodeVersion")
	}
	from, err := r.locate(code.RepositoryURL)
	if err != nil {
		return "", err
	}
	scratch, err := r.newScratch(from)
	if err != nil {
		return "", err
	}
	defer scratch.remove()
	refs, err := r.listRefs(ctx, scratch, "refs/heads/"+code.Branch)
	if err != nil {
		return "", err
	}
	if commit, ok := refs["refs/heads/"+code.Branch]; ok {
		return commit, nil
	}
	refs, err = r.listRefs(ctx, scratch, "refs/heads/*")
	if err != nil {
		return "", err
	}
	return "", noSuchBranch(from, code.Branch, refs)
}

// Fetch checks commit out, without history and .git, into the folder dir, which must be empty or missing. log gets a
// few lines for people. After a failure dir holds nothing.
func (r *Repositories) Fetch(ctx context.Context, code platform.CodeSource, commit, dir string, log io.Writer) (err error) {
	if !commitPattern.MatchString(commit) {
		return fmt.Errorf("fetch: %q is not a commit id", commit)
	}
	if !isBranchName(code.Branch) {
		return platform.Explain(nil, "%q cannot be the name of a branch", code.Branch).
			Try("correct BranchName in the service's SourceCodeVersion")
	}
	from, err := r.locate(code.RepositoryURL)
	if err != nil {
		return err
	}
	if log == nil {
		log = io.Discard
	}
	undo, err := claimFolder(dir)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			undo()
		}
	}()
	scratch, err := r.newScratch(from)
	if err != nil {
		return err
	}
	w := &whole{from: from, parts: []part{{scratch: scratch, commit: commit}}, found: content{links: links{}}}
	defer w.remove()
	fmt.Fprintf(log, "Fetching commit %.7s of branch %s from %s\n", commit, code.Branch, from)
	if err := r.fetchCommit(ctx, scratch, "refs/heads/"+code.Branch, commit); errors.Is(err, errCommitGone) {
		return platform.Explain(err, "commit %.7s is no longer in branch %s of %s, which was rewritten meanwhile", commit, code.Branch, from).
			Try("start a new deployment")
	} else if err != nil {
		return err
	}
	modules, err := r.inspect(ctx, w.parts[0], &w.found)
	if err != nil {
		return err
	}
	if err := r.addSubmodules(ctx, w, code.RepositoryURL, modules, 1, log); err != nil {
		return err
	}
	if err := w.found.checkLinks(); err != nil {
		return err
	}
	if err := r.checkOutAll(ctx, w, dir); err != nil {
		return err
	}
	pointers, err := settle(dir)
	if err != nil {
		return err
	}
	w.found.report(log, pointers)
	return nil
}

// checkOutAll checks the repository out, and then each submodule into its folder.
func (r *Repositories) checkOutAll(ctx context.Context, w *whole, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open folder: %w", err)
	}
	defer root.Close()
	for _, part := range w.parts {
		if err := checkFolder(root, part.at); err != nil {
			return err
		}
		if err := r.checkOut(ctx, part.scratch, part.commit, filepath.Join(dir, filepath.FromSlash(part.at))); err != nil {
			return err
		}
	}
	return nil
}

// claimFolder makes sure that dir is an empty folder, and returns what makes it so again.
func claimFolder(dir string) (undo func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	if len(entries) > 0 {
		return nil, fmt.Errorf("make folder: %s is not empty", dir)
	}
	return func() {
		entries, _ := os.ReadDir(dir)
		for _, entry := range entries {
			_ = os.RemoveAll(filepath.Join(dir, entry.Name()))
		}
	}, nil
}
