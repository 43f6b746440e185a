package git

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/apron-run/apron/internal/platform"
)

// content is what a commit holds, known before anything is checked out.
type content struct {
	files int
	bytes int64
	links links
	// leftOut are the submodules that are not fetched.
	leftOut []string
}

// tree is what one part of the whole adds.
type tree struct {
	submodules []submodule
	// symlinks maps the path of each symbolic link to the object that holds its target.
	symlinks map[string]string
}

// maxTargetBytes is the longest target of a symbolic link (PATH_MAX).
const maxTargetBytes = 4096

// inspect adds the commit's files to what was found, refuses what cannot be used, and returns the commit's submodules.
func (r *Repositories) inspect(ctx context.Context, of part, found *content) ([]submodule, error) {
	own := tree{symlinks: map[string]string{}}
	list := &splitter{separator: 0, each: func(line []byte) error { return r.count(found, &own, string(line)) }}
	args := []string{"--git-dir=" + of.scratch.repository(), "ls-tree", "-r", "-l", "-z", "--full-tree", of.commit}
	err := r.run(ctx, of.scratch, command{args: args, stdout: list})
	if explained := platform.AsExplained(err); explained != nil {
		return nil, explained
	}
	if err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	if err := r.readSymlinks(ctx, of, own.symlinks, found.links); err != nil {
		return nil, err
	}
	return own.submodules, nil
}

// count takes in one line of ls-tree: mode, type, object, size and, after a tab, the path.
func (r *Repositories) count(found *content, own *tree, line string) error {
	head, path, _ := strings.Cut(line, "\t")
	fields := strings.Fields(head)
	if len(fields) != 4 {
		return fmt.Errorf("list files: unexpected line %q", line)
	}
	mode, object := fields[0], fields[2]
	size, _ := strconv.ParseInt(fields[3], 10, 64)
	switch mode {
	case "160000":
		own.submodules = append(own.submodules, submodule{path: path, commit: object})
		return nil
	case "120000":
		if size > maxTargetBytes {
			return platform.Explain(nil, "the symbolic link %s is %d bytes long", path, size).
				Try("remove it from the repository")
		}
		own.symlinks[path] = object
	}
	found.files++
	found.bytes += size
	if found.files > r.config.Limits.Files {
		return platform.Explain(nil, "the repository has more than %d files", r.config.Limits.Files).
			Try("remove what the app does not need, such as installed packages")
	}
	if found.bytes > r.config.Limits.Bytes {
		return tooLarge(r.config.Limits.Bytes)
	}
	return nil
}

func tooLarge(limit int64) *platform.ExplainedError {
	return platform.Explain(errTooLarge, "the repository is larger than %s", formatBytes(limit)).
		Try("remove what the app does not need at run time, such as data or media")
}

// readSymlinks adds the links of one part, by their paths in the whole.
func (r *Repositories) readSymlinks(ctx context.Context, of part, objects map[string]string, into links) error {
	if len(objects) == 0 {
		return nil
	}
	var question strings.Builder
	var paths []string
	for name, object := range objects {
		paths = append(paths, name)
		question.WriteString(object + "\n")
	}
	var answer bytes.Buffer
	args := []string{"--git-dir=" + of.scratch.repository(), "cat-file", "--batch"}
	if err := r.run(ctx, of.scratch, command{args: args, stdin: strings.NewReader(question.String()), stdout: &answer}); err != nil {
		return fmt.Errorf("read symbolic links: %w", err)
	}
	reader := bufio.NewReader(&answer)
	for _, name := range paths {
		target, err := readObject(reader)
		if err != nil {
			return fmt.Errorf("read symbolic link %s: %w", name, err)
		}
		into[path.Join(of.at, name)] = target
	}
	return nil
}

// checkLinks refuses links that lead out of the repository: on this machine they would lead to its files.
func (c content) checkLinks() error {
	for _, path := range slices.Sorted(maps.Keys(c.links)) {
		if c.links.escapes(path) {
			return platform.Explain(nil, "the symbolic link %s points to %s, outside of the repository", path, c.links[path]).
				Try("make it point inside or remove it")
		}
	}
	return nil
}

// readObject reads one answer of cat-file --batch: "OBJECT TYPE SIZE", a newline, the content, a newline.
func readObject(reader *bufio.Reader) (string, error) {
	head, err := reader.ReadString('\n')
	if err != nil {
		return "", err
	}
	fields := strings.Fields(head)
	if len(fields) != 3 {
		return "", fmt.Errorf("unexpected answer %q", strings.TrimSpace(head))
	}
	size, err := strconv.Atoi(fields[2])
	if err != nil || size > maxTargetBytes {
		return "", fmt.Errorf("unexpected size %q", fields[2])
	}
	target := make([]byte, size+1)
	if _, err := io.ReadFull(reader, target); err != nil {
		return "", err
	}
	return string(target[:size]), nil
}

// checkOut writes the commit's files into dir.
func (r *Repositories) checkOut(ctx context.Context, s *scratch, commit, dir string) error {
	args := []string{"--git-dir=" + s.repository(), "--work-tree=" + dir, "-c", "core.bare=false",
		"checkout", "--progress", "--force", "--no-recurse-submodules", "--detach", commit, "--"}
	if err := r.run(ctx, s, command{args: args, dir: dir}); err != nil {
		return r.explain(s.from, err)
	}
	return nil
}

// settle gives files and folders the permissions Git means, whatever our umask, and returns the files that are only
// pointers to what Git LFS keeps.
func settle(dir string) (pointers []string, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir():
			return setMode(path, info, 0o755)
		case !info.Mode().IsRegular():
			return nil
		}
		mode := fs.FileMode(0o644)
		if info.Mode()&0o100 != 0 {
			mode = 0o755
		}
		if isPointer(path, info.Size()) {
			name, _ := filepath.Rel(dir, path)
			pointers = append(pointers, name)
		}
		return setMode(path, info, mode)
	})
	if err != nil {
		return nil, fmt.Errorf("set permissions: %w", err)
	}
	return pointers, nil
}

func setMode(path string, info fs.FileInfo, mode fs.FileMode) error {
	if info.Mode().Perm() == mode {
		return nil
	}
	return os.Chmod(path, mode)
}

// isPointer says whether a file is a pointer of Git LFS: a small text that begins with its version.
func isPointer(path string, size int64) bool {
	const begin = "version https://git-lfs.github.com/spec/"
	if size < int64(len(begin)) || size > 1024 {
		return false
	}
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	head := make([]byte, len(begin))
	_, err = io.ReadFull(file, head)
	return err == nil && string(head) == begin
}

// report writes what was fetched, and what was not, for people.
func (c content) report(log io.Writer, pointers []string) {
	fmt.Fprintf(log, "Fetched %d files, %s\n", c.files, formatBytes(c.bytes))
	if len(c.leftOut) > 0 {
		fmt.Fprintf(log, "Warning: submodules that .gitmodules has no URL for, or update = none, are not fetched, and their folders stay empty: %s\n", few(c.leftOut))
	}
	if len(pointers) > 0 {
		fmt.Fprintf(log, "Warning: files kept by Git LFS are not fetched, only their pointers are there: %s. "+
			"Keep what the app needs in Git itself (git lfs migrate export), or download it in the build\n", few(pointers))
	}
}

// few joins the first few of names.
func few(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// formatBytes writes a size as people do.
func formatBytes(size int64) string {
	const unit = 1 << 10
	if size < unit {
		return fmt.Sprintf("%d bytes", size)
	}
	value, names := float64(size)/unit, []string{"KiB", "MiB", "GiB", "TiB"}
	for value >= unit && len(names) > 1 {
		value, names = value/unit, names[1:]
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + " " + names[0]
}

// splitter hands each record of a stream to a function.
type splitter struct {
	separator byte
	each      func([]byte) error
	partial   []byte
}

// maxRecordBytes bounds a record; a path in Git has at most PATH_MAX bytes.
const maxRecordBytes = 64 << 10

func (s *splitter) Write(p []byte) (int, error) {
	written := len(p)
	for {
		i := bytes.IndexByte(p, s.separator)
		if i < 0 {
			break
		}
		record := p[:i]
		if len(s.partial) > 0 {
			record = append(s.partial, record...)
		}
		if err := s.each(record); err != nil {
			return 0, err
		}
		s.partial, p = s.partial[:0], p[i+1:]
	}
	if s.partial = append(s.partial, p...); len(s.partial) > maxRecordBytes {
		return 0, errTooMuch
	}
	return written, nil
}
