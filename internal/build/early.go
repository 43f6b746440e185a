package build

import (
	"encoding/json"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// A changed line of source need not install the app's dependencies again. A command that installs them and nothing else
// may run early: before the source is copied, with only the files that it reads in place. Then its layer depends on those
// files alone and is used again until one of them changes.
//
// This is right only where the command can see nothing but those files. So the rules below are narrow: the command is one
// of a few, word for word, with options that change nothing else; the files name no other files; and no package brings a
// script of its own that could look around. Whatever does not fit runs in its place, after the source, as it always did.

// early is the part of a build that may run before the source is there.
type early struct {
	// Phase is where the commands come from, Commands how many of its first commands they are.
	Phase    Phase
	Commands int
	// Files are what they read, as paths in the repository.
	Files []string
}

// folder is the source directory as the rules read it.
type folder struct {
	files fs.FS
	// directory is the source directory, "." for the root.
	directory string
}

// findEarly returns the part of the plan's first build phase that may run early. Zero Commands is none.
func findEarly(plan Plan, source folder) early {
	phase := PhasePreBuild
	if len(plan.Commands[phase]) == 0 {
		phase = PhaseBuild
	}
	found := early{Phase: phase}
	for _, variable := range plan.Environment {
		name := strings.ToLower(variable.Name)
		if strings.HasPrefix(name, "npm_") || strings.HasPrefix(name, "pip_") || strings.HasPrefix(name, "python") || name == "path" {
			return found // it may make the command read something else
		}
	}
	for _, command := range plan.Commands[phase] {
		files, ok := source.installs(command)
		if !ok {
			break
		}
		found.Commands++
		for _, file := range files {
			if !slices.Contains(found.Files, file) {
				found.Files = append(found.Files, file)
			}
		}
	}
	return found
}

// plainWords matches a command whose words mean to the shell what they are.
var plainWords = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._/=-]*$`)

// installs returns the files that an installing command reads, or false for any other command.
func (f folder) installs(command string) ([]string, bool) {
	command = strings.TrimSpace(command)
	if !plainWords.MatchString(command) {
		return nil, false
	}
	words := strings.Fields(command)
	switch {
	case len(words) > 1 && words[0] == "npm" && (words[1] == "ci" || words[1] == "install" || words[1] == "i"):
		return f.npm(words[2:])
	case len(words) > 1 && (words[0] == "pip" || words[0] == "pip3") && words[1] == "install":
		return f.pip(words[2:])
	case len(words) > 3 && (words[0] == "python" || words[0] == "python3") && words[1] == "-m" && words[2] == "pip" && words[3] == "install":
		return f.pip(words[4:])
	}
	return nil, false
}

func (f folder) path(name string) string { return path.Join(f.directory, name) }

func (f folder) has(name string) bool {
	_, err := fs.Lstat(f.files, f.path(name))
	return err == nil
}

// decode reads a JSON file; a missing, broken or huge one is false.
func (f folder) decode(name string, into any) bool {
	data, ok := f.read(name)
	return ok && json.Unmarshal(data, into) == nil
}

// read reads a file that lies where its path says: no part of the path is a symbolic link, because only this one file
// is there when the command runs early.
func (f folder) read(name string) ([]byte, bool) {
	full := f.path(name)
	if path.IsAbs(name) || !fs.ValidPath(full) {
		return nil, false
	}
	for parent := full; parent != "."; parent = path.Dir(parent) {
		info, err := fs.Lstat(f.files, parent)
		if err != nil || info.Mode()&fs.ModeSymlink != 0 {
			return nil, false
		}
		if parent == full && (!info.Mode().IsRegular() || info.Size() > maxManifest) {
			return nil, false
		}
	}
	data, err := fs.ReadFile(f.files, full)
	return data, err == nil
}

// maxManifest bounds what is read of a lock file.
const maxManifest = 16 << 20
