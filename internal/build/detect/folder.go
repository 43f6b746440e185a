package detect

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/apron-run/apron/internal/platform"
)

const (
	// maxFile bounds a file that is read whole, maxHead the beginning of one that is looked into, maxEntries how many entries of
	// a folder are looked at.
	maxFile    = 1 << 20
	maxHead    = 64 << 10
	maxEntries = 1000
	// maxPlaces bounds how many folders a hint names.
	maxPlaces = 5
)

// folder is the source directory. What cannot be read is kept in err, and told at the end.
type folder struct {
	files fs.FS
	err   error
}

func (f *folder) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

// has says whether there is a regular file, or a link to one inside the repository.
func (f *folder) has(name string) bool {
	info, err := fs.Stat(f.files, name)
	return err == nil && info.Mode().IsRegular()
}

func (f *folder) hasFolder(name string) bool {
	info, err := fs.Stat(f.files, name)
	return err == nil && info.IsDir()
}

// first returns the first of the files that there is, or "".
func (f *folder) first(names ...string) string {
	for _, name := range names {
		if f.has(name) {
			return name
		}
	}
	return ""
}

// read returns a file's text; "" where there is no such file.
func (f *folder) read(name string) string {
	info, err := fs.Stat(f.files, name)
	if err != nil || !info.Mode().IsRegular() { // asked before opening, which would wait for a named pipe's writer
		return ""
	}
	file, err := f.files.Open(name)
	if err != nil {
		f.fail(platform.Explain(err, "%s cannot be read", name).Try("let it be a regular file of the repository"))
		return ""
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		f.fail(platform.Explain(nil, "%s has more than %d bytes, which are not read", name, maxFile).
			Try("shorten it, or add an apprunner.yaml"))
		return ""
	}
	if err != nil {
		f.fail(platform.Explain(err, "%s cannot be read", name).Try("let it be a regular file of the repository"))
	}
	return string(data)
}

// head returns the beginning of a file; "" where there is none, or none that can be read.
func (f *folder) head(name string) string {
	if !f.has(name) {
		return ""
	}
	file, err := f.files.Open(name)
	if err != nil {
		return ""
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxHead))
	if err != nil {
		return ""
	}
	return string(data)
}

// line returns the first line of a file that is no comment, such as a version's.
func (f *folder) line(name string) string {
	for line := range strings.Lines(f.read(name)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return line
		}
	}
	return ""
}

// json reads a file into a struct. A file that is none is an error of the repository.
func (f *folder) json(name string, into any) {
	text := strings.TrimPrefix(f.read(name), "\ufeff")
	if text == "" {
		return
	}
	var wrong *json.UnmarshalTypeError
	if err := json.Unmarshal([]byte(text), into); err != nil && !errors.As(err, &wrong) {
		f.fail(platform.Explain(err, "%s is not JSON: %v", name, err).Try("correct it, and deploy again"))
	}
}

// toml is like json.
func (f *folder) toml(name string, into any) {
	if err := toml.Unmarshal([]byte(f.read(name)), into); err != nil {
		var wrong *toml.DecodeError
		if errors.As(err, &wrong) {
			row, column := wrong.Position()
			f.fail(platform.Explain(err, "%s is not TOML: line %d, column %d: %v", name, row, column, err).Try("correct it, and deploy again"))
			return
		}
		f.fail(platform.Explain(err, "%s is not TOML: %v", name, err).Try("correct it, and deploy again"))
	}
}

// entries returns the names of a folder's entries, sorted, up to a bound.
func (f *folder) entries(name string, isWanted func(fs.DirEntry) bool) []string {
	opened, err := f.files.Open(name)
	if err != nil {
		return nil
	}
	defer opened.Close()
	directory, ok := opened.(fs.ReadDirFile)
	if !ok {
		return nil
	}
	list, err := directory.ReadDir(maxEntries)
	if err != nil {
		return nil
	}
	var names []string
	for _, entry := range list {
		if isWanted(entry) {
			names = append(names, entry.Name())
		}
	}
	slices.Sort(names)
	return names
}

func (f *folder) folders(name string) []string {
	return f.entries(name, func(entry fs.DirEntry) bool { return entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") })
}

func (f *folder) filesWith(name, suffix string) []string {
	return f.entries(name, func(entry fs.DirEntry) bool {
		return entry.Type().IsRegular() && strings.HasSuffix(entry.Name(), suffix)
	})
}

// below names files of apps that lie in folders of the first level.
func (f *folder) below() []string {
	var places []string
	for _, inside := range f.folders(".") {
		for _, language := range languages {
			if len(places) < maxPlaces && f.has(path.Join(inside, language.files[0])) {
				places = append(places, path.Join(inside, language.files[0]))
				break
			}
		}
	}
	return places
}
