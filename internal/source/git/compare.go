package git

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/apron-run/apron/internal/platform"
)

// HasChanged says whether anything in the folder that is built differs between two commits of the repository. Commits and
// lists of files are read, and no file where the server can leave those out. A commit that is not there any more, such as one
// that a forced push has left behind, differs.
func (r *Repositories) HasChanged(ctx context.Context, code platform.CodeSource, before, after string) (bool, error) {
	folder := strings.Trim(path.Clean("/"+code.Directory), "/")
	if folder == "" || strings.ContainsAny(folder, "\n\x00") {
		return before != after, nil
	}
	if !commitPattern.MatchString(before) || !commitPattern.MatchString(after) {
		return false, fmt.Errorf("compare: %q and %q are not commit ids", before, after)
	}
	from, err := r.locate(code.RepositoryURL)
	if err != nil {
		return false, err
	}
	scratch, err := r.newScratch(from)
	if err != nil {
		return false, err
	}
	defer scratch.remove()
	repository := from.argument // on this disk, it is asked where it is
	if inner := filepath.Join(repository, ".git"); exists(inner) {
		repository = inner
	}
	if from.isHTTP || from.isSSH {
		repository = scratch.repository()
		if err := r.fetchTrees(ctx, scratch, before, after); isRefusedByID(err) {
			return true, nil
		} else if err != nil {
			return false, r.explain(from, err)
		}
	}
	trees, err := r.treesOf(ctx, scratch, repository, before+":"+folder, after+":"+folder)
	return err == nil && (trees[0] != trees[1] || trees[0] == ""), err
}

// fetchTrees brings two commits with their lists of files into the scratch's repository.
func (r *Repositories) fetchTrees(ctx context.Context, s *scratch, commits ...string) error {
	if err := r.initialize(ctx, s, commits[0]); err != nil {
		return err
	}
	args := append([]string{"--git-dir=" + s.repository(), "fetch", "--progress", "--no-tags", "--no-recurse-submodules",
		"--no-auto-maintenance", "--depth=1", "--filter=blob:none", "--", s.from.argument}, commits...)
	return r.retry(ctx, func() error {
		return r.run(ctx, s, command{args: args, watched: filepath.Join(s.repository(), "objects")})
	})
}

// treesOf returns the object that each name means; "" for one that is not there.
func (r *Repositories) treesOf(ctx context.Context, s *scratch, repository string, names ...string) ([]string, error) {
	var answer bytes.Buffer
	args := []string{"--git-dir=" + repository, "cat-file", "--batch-check=%(objectname)"}
	question := strings.NewReader(strings.Join(names, "\n") + "\n")
	if err := r.run(ctx, s, command{args: args, stdin: question, stdout: &answer}); err != nil {
		return nil, fmt.Errorf("compare folders: %w", r.explain(s.from, err))
	}
	lines := strings.Split(strings.TrimSuffix(answer.String(), "\n"), "\n")
	if len(lines) != len(names) {
		return nil, fmt.Errorf("compare folders: git answered %q", answer.String())
	}
	for i, line := range lines {
		if !commitPattern.MatchString(line) { // "NAME missing"
			lines[i] = ""
		}
	}
	return lines, nil
}
