package push

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxNesting bounds how deep repositories within repositories are followed.
const maxNesting = 10

// list returns the files that belong to the folder, relative to it and sorted, and their size.
func list(ctx context.Context, r repository, dir string) (files []string, size int64, err error) {
	found, err := listFolder(ctx, r, dir, 0)
	if err != nil {
		return nil, 0, err
	}
	slices.Sort(found)
	found = slices.Compact(found)
	for _, file := range found {
		info, err := os.Lstat(filepath.Join(dir, file))
		if errors.Is(err, fs.ErrNotExist) {
			continue // tracked, but deleted on the disk
		}
		if err != nil {
			return nil, 0, err
		}
		if !info.Mode().IsRegular() && info.Mode()&fs.ModeSymlink == 0 {
			continue // Git has no sockets, pipes or devices
		}
		size += info.Size()
		files = append(files, file)
	}
	switch {
	case len(files) == 0:
		return nil, 0, fmt.Errorf("%s: %w", dir, ErrEmpty)
	case size > maxBytes:
		return nil, 0, fmt.Errorf("%s holds %.1f GB, and at most %d GB can be sent: %w", dir, float64(size)/(1<<30), maxBytes>>30, ErrTooLarge)
	}
	return files, size, nil
}

// listFolder lists one folder, and those below it that are repositories of their own (submodules and plain ones).
func listFolder(ctx context.Context, r repository, dir string, depth int) ([]string, error) {
	listed, err := listOne(ctx, r, dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, file := range listed {
		file = strings.TrimSuffix(file, "/")
		info, err := os.Lstat(filepath.Join(dir, file))
		if err != nil || !info.IsDir() {
			files = append(files, file)
			continue
		}
		if depth == maxNesting {
			return nil, fmt.Errorf("%s: repositories are nested more than %d deep", filepath.Join(dir, file), maxNesting)
		}
		inner, err := listFolder(ctx, r, filepath.Join(dir, file), depth+1)
		if err != nil {
			return nil, err
		}
		for _, name := range inner {
			files = append(files, file+"/"+name)
		}
	}
	return files, nil
}

// listOne asks the user's own repository when the folder is in one, because only that knows which files are tracked
// although they are ignored. Where it has nothing to say, for instance because it ignores the whole folder, the folder
// is taken by itself.
func listOne(ctx context.Context, r repository, dir string) ([]string, error) {
	inside, err := users(ctx, dir, "rev-parse", "--is-inside-work-tree")
	if err == nil && strings.TrimSpace(string(inside)) == "true" {
		listed, err := users(ctx, dir, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
		if err != nil {
			return nil, fmt.Errorf("list the files of %s: %w", dir, err)
		}
		if files := split(listed); len(files) > 0 {
			return files, nil
		}
	}
	if err != nil && (errors.Is(err, ErrNoGit) || ctx.Err() != nil) {
		return nil, err
	}
	listed, err := alone(ctx, r.dir, dir, "ls-files", "-z", "--others", "--exclude-standard")
	if err != nil {
		return nil, fmt.Errorf("list the files of %s: %w", dir, err)
	}
	return split(listed), nil
}

// describe makes the commit's subject: the folder, and the user's own commit if there is one.
func describe(ctx context.Context, dir string) string {
	subject := "Deploy " + filepath.Base(dir)
	head, err := users(ctx, dir, "log", "-1", "--format=%h %s")
	if err == nil && len(head) > 0 {
		subject += " (" + strings.TrimSpace(string(head)) + ")"
	}
	return subject
}
