package build

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/apron-run/apron/internal/build/appfile"
	"github.com/apron-run/apron/internal/platform"
)

// repository is a checked-out repository, read only from inside its root: a path that leaves it, also through a symbolic
// link, is refused by the operating system.
type repository struct {
	root *os.Root
	// directory is SourceDirectory without the leading slash; "." is the root.
	directory string
}

// openRepository opens the repository and finds its source directory.
func openRepository(dir, sourceDirectory string) (*repository, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the repository: %w", err)
	}
	directory := strings.TrimLeft(path.Clean("/"+sourceDirectory), "/")
	if directory == "" {
		directory = "."
	}
	if hasParent(sourceDirectory) {
		return nil, errors.Join(platform.Explain(nil, "SourceDirectory %q leaves the repository", sourceDirectory).
			Try("name a folder inside of it"), root.Close())
	}
	info, err := root.Stat(directory)
	if err != nil || !info.IsDir() {
		return nil, errors.Join(explainPath(err, "SourceDirectory", sourceDirectory), root.Close())
	}
	return &repository{root: root, directory: directory}, nil
}

func (r *repository) close() error { return r.root.Close() }

// path returns the source directory on the machine, without symbolic links.
func (r *repository) path() (string, error) {
	full, err := filepath.EvalSymlinks(filepath.Join(r.root.Name(), filepath.FromSlash(r.directory)))
	if err != nil {
		return "", fmt.Errorf("find the source directory: %w", err)
	}
	top, err := filepath.EvalSymlinks(r.root.Name())
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	if full != top && !strings.HasPrefix(full, top+string(filepath.Separator)) {
		return "", platform.Explain(nil, "SourceDirectory %q leaves the repository through a symbolic link", "/"+r.directory).
			Try("name a folder inside of it")
	}
	return full, nil
}

// configuration reads apprunner.yaml. It is the one place that says what a repository without it is built by, for builds and
// for previews.
func (r *repository) configuration() (appfile.File, error) {
	name := path.Join(r.directory, appfile.Name)
	data, err := r.read(name, appfile.MaxBytes+1)
	if errors.Is(err, fs.ErrNotExist) {
		where := "the repository's root"
		if r.directory != "." {
			where = "/" + r.directory
		}
		if other := r.nearName(); other != "" {
			return appfile.File{}, platform.Explain(err, "there is no %s in %s, but there is %s", appfile.Name, where, other).
				Try("rename it: git mv %s %s", other, appfile.Name)
		}
		return appfile.File{}, platform.Explain(err, "there is no %s in %s", appfile.Name, where).
			Try("add one, or tag the service %[1]s=%[2]s to build by what its files are, or %[1]s=%[3]s to build with its Dockerfile, "+
				"or set ConfigurationSource to API and give CodeConfigurationValues", platform.TagBuild, platform.BuildAuto, platform.BuildDockerfile)
	}
	if err != nil {
		return appfile.File{}, explainPath(err, "the configuration file", name)
	}
	return appfile.Read(data)
}

// nearName returns the name of a file that is likely meant to be the configuration file, or nothing.
func (r *repository) nearName() string {
	entries, err := fs.ReadDir(r.root.FS(), r.directory)
	if err != nil {
		return ""
	}
	for _, entry := range entries {
		base, extension, _ := strings.Cut(strings.ToLower(entry.Name()), ".")
		if strings.Trim(strings.NewReplacer("-", "", "_", "").Replace(base), ".") == "apprunner" && (extension == "yaml" || extension == "yml") {
			return entry.Name()
		}
	}
	return ""
}

// read reads at most limit bytes of a regular file.
func (r *repository) read(name string, limit int64) ([]byte, error) {
	info, err := r.root.Stat(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // asked before opening, which would wait for a named pipe's writer
		return nil, platform.Explain(nil, "%s is not a regular file", name).Try("put a regular file there")
	}
	file, err := r.root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, limit))
}

func hasParent(name string) bool {
	for part := range strings.SplitSeq(filepath.ToSlash(name), "/") {
		if part == ".." {
			return true
		}
	}
	return false
}

// explainPath says what is wrong with a path that the user gave.
func explainPath(err error, what, name string) error {
	switch {
	case platform.AsExplained(err) != nil:
		return err
	case errors.Is(err, fs.ErrNotExist):
		return platform.Explain(err, "%s %q does not exist in the repository", what, name).Try("check the path, and that it is committed")
	case err == nil:
		return platform.Explain(nil, "%s %q is not a folder", what, name).Try("name a folder")
	}
	return platform.Explain(err, "%s %q cannot be read (%v)", what, name, rootCause(err)).
		Try("let it lie inside the repository, also where it is a symbolic link")
}

// rootCause returns the reason without the operation and the machine's own path.
func rootCause(err error) error {
	var failure *fs.PathError
	if errors.As(err, &failure) {
		return failure.Err
	}
	return err
}
