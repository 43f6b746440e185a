package build

import (
	"encoding/json"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/apron-run/apron/internal/build/appfile"
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
	// Commands are those that run early, of the phases that have any, and Rest is what these phases still have to run then.
	Commands, Rest map[Phase][]string
	// Files are what they read, as paths in the repository; Folders are where they go.
	Files, Folders []string
}

// findEarly returns the part of the plan's phases before the image that may run early.
func findEarly(plan Plan, source folder) early {
	found := early{Commands: map[Phase][]string{}, Rest: map[Phase][]string{}}
	if slices.ContainsFunc(plan.Environment, func(v appfile.Variable) bool { return steers(v.Name) }) {
		return found
	}
	for _, phase := range []Phase{PhasePreBuild, PhaseBuild} {
		commands := plan.Commands[phase]
		if len(commands) == 0 {
			continue
		}
		s := scout{folder: source, found: &found}
		s.walk(commands)
		if len(s.early) == 0 {
			break
		}
		found.Commands[phase] = s.early
		if len(s.rest) > 0 {
			found.Rest[phase] = slices.Concat(s.again, s.rest)
			break
		}
	}
	return found
}

// steering are variables, or with "_" at the end beginnings of them, that may make a command read or run something else.
var steering = []string{
	"bash_env", "cdpath", "path", "home", "ld_", "npm_", "pip_", "python", "virtual_", "node_options", "node_path", "yarn_", "pnpm_",
	"corepack_", "goflags", "gowork", "goenv", "goroot", "gotoolchain", "bundle_", "rubyopt", "rubylib", "gem_", "maven_", "mvn_", "java_",
	"jdk_", "xdg_",
}

func steers(variable string) bool {
	name := strings.ToLower(variable)
	return slices.ContainsFunc(steering, func(each string) bool {
		return name == each || (strings.HasSuffix(each, "_") || each == "python") && strings.HasPrefix(name, each)
	})
}

// scout goes through the commands of one phase as its shell would, as far as it can be sure what they do.
type scout struct {
	// folder is where the shell is.
	folder
	found *early
	// pending are the commands so far, and lasting those of them that a later shell needs again.
	pending, lasting []string
	// early are the commands up to the last that installs; rest are those behind it, before which a later shell runs again.
	early, again, rest []string
	// environment is the Python environment that was made in this folder, or empty.
	environment string
}

// walk takes the commands one by one until one may see more than its files.
func (s *scout) walk(commands []string) {
	commands = slices.Clone(commands)
	for len(commands) > 0 {
		command, rest := firstOf(commands[0])
		if rest == "" {
			commands = commands[1:]
		} else {
			commands[0] = rest
		}
		switch {
		case isIdle(command):
			s.pending = append(s.pending, command)
			continue
		case s.changesShell(command):
			s.pending, s.lasting = append(s.pending, command), append(s.lasting, command)
			continue
		}
		files, ok := s.installs(command)
		if !ok {
			return
		}
		s.pending = append(s.pending, command)
		s.early, s.again, s.rest = slices.Clone(s.pending), slices.Clone(s.lasting), slices.Clone(commands)
		for _, file := range files {
			if !slices.Contains(s.found.Files, file) {
				s.found.Files = append(s.found.Files, file)
			}
		}
		if !slices.Contains(s.found.Folders, s.directory) {
			s.found.Folders = append(s.found.Folders, s.directory)
		}
	}
}

// firstOf takes the first command off a chain of those that run only if the one before went well. Any other operator may make
// more of what follows, so the chain stays whole.
func firstOf(chain string) (first, rest string) {
	chain = strings.TrimSpace(chain)
	first, rest, isChain := strings.Cut(chain, " && ")
	if !isChain || strings.ContainsAny(strings.ReplaceAll(rest, " && ", ""), "|;&\n") {
		return chain, ""
	}
	return strings.TrimSpace(first), strings.TrimSpace(rest)
}

// plainWords matches a command whose words mean to the shell what they are.
var plainWords = regexp.MustCompile(`^[A-Za-z0-9@.][A-Za-z0-9 ._/=@:+-]*$`)

// idle matches a command that only prints.
var idle = regexp.MustCompile(`^(echo( +("[^"$` + "`" + `\\!]*"|'[^']*'|[A-Za-z0-9._/=:,+-]+))*|set -e|(node|npm|pnpm|yarn|pip3?|python3?|go|java|mvn|ruby|bundle) (--version|-v|-V|version))$`)

func isIdle(command string) bool { return idle.MatchString(command) }

// changesShell says whether a command does no more than to change the shell that runs it, in a way that is understood: it goes
// into a folder, or activates an environment that was made before.
func (s *scout) changesShell(command string) bool {
	words := strings.Fields(command)
	if !plainWords.MatchString(command) || len(words) != 2 {
		return false
	}
	switch {
	case words[0] == "cd" && s.isFolder(words[1]):
		s.directory, s.environment = s.path(words[1]), ""
		return true
	case (words[0] == "source" || words[0] == ".") && s.environment != "":
		return strings.TrimPrefix(words[1], "./") == s.environment+"/bin/activate"
	}
	return false
}

// installs returns the files that an installing command reads, or false for any other command.
func (s *scout) installs(command string) ([]string, bool) {
	if !plainWords.MatchString(command) {
		return nil, false
	}
	words := strings.Fields(command)
	program, rest := words[0], words[1:]
	if python.MatchString(program) && len(rest) > 1 && rest[0] == "-m" {
		if rest[1] == "venv" {
			return nil, s.makesEnvironment(rest[2:])
		}
		program, rest = rest[1], rest[2:] // python3 -m pip
	}
	if rule, ok := installers[strings.TrimPrefix(program, "/usr/bin/")]; ok {
		return rule(s.folder, rest)
	}
	return nil, false
}

// installers are the rules, by program. Each gets the words behind it.
var installers = map[string]func(f folder, words []string) ([]string, bool){
	"npm": folder.npm, "pnpm": folder.pnpm, "yarn": folder.yarn, "corepack": folder.corepack,
	"pip": folder.pip, "pip3": folder.pip,
	"go": folder.goMod, "bundle": folder.bundle, "mvn": folder.maven,
}

// folder is a folder of the repository as the rules read it.
type folder struct {
	files fs.FS
	// directory is where it lies, "." for the root.
	directory string
}

func (f folder) path(name string) string { return path.Join(f.directory, name) }

func (f folder) has(name string) bool {
	_, err := fs.Lstat(f.files, f.path(name))
	return err == nil
}

// hasAny says whether one of the names is here.
func (f folder) hasAny(names ...string) bool { return slices.ContainsFunc(names, f.has) }

// hasAbove says whether one of the names is in a folder above this one.
func (f folder) hasAbove(names ...string) bool {
	for above := f; above.directory != "."; {
		above.directory = path.Dir(above.directory)
		if above.hasAny(names...) {
			return true
		}
	}
	return false
}

// with returns the paths of the names, and of those of the others that are here.
func (f folder) with(names []string, others ...string) []string {
	var paths []string
	for _, name := range names {
		paths = append(paths, f.path(name))
	}
	for _, name := range others {
		if f.has(name) {
			paths = append(paths, f.path(name))
		}
	}
	return paths
}

// isFolder says whether a name is a folder below this one, which no symbolic link leads to.
func (f folder) isFolder(name string) bool {
	full := f.path(name)
	if path.IsAbs(name) || !fs.ValidPath(full) || hasParent(name) || strings.HasPrefix(name, "-") {
		return false
	}
	for parent := full; parent != "."; parent = path.Dir(parent) {
		if info, err := fs.Lstat(f.files, parent); err != nil || !info.IsDir() {
			return false
		}
	}
	return true
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

// isPlain says whether a file can be read and holds none of the texts.
func (f folder) isPlain(name string, without ...string) bool {
	data, ok := f.read(name)
	return ok && !slices.ContainsFunc(without, func(text string) bool { return strings.Contains(string(data), text) })
}

// maxManifest bounds what is read of a lock file.
const maxManifest = 16 << 20
