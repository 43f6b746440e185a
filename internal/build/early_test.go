package build

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/apron-run/apron/internal/build/appfile"
)

// repositoryOf is a repository of text files; a text that begins with "-> " is a symbolic link.
func repositoryOf(files map[string]string) fstest.MapFS {
	made := fstest.MapFS{}
	for name, text := range files {
		file := &fstest.MapFile{Data: []byte(text), Mode: 0o644}
		if target, isLink := strings.CutPrefix(text, "-> "); isLink {
			file.Data, file.Mode = []byte(target), 0o777|1<<27
		}
		made[name] = file
	}
	return made
}

const (
	plainManifest = `{"name":"app","dependencies":{"left-pad":"1.3.0"}}`
	plainLock     = `{"lockfileVersion":3,"packages":{"":{},"node_modules/left-pad":{"resolved":"https://registry.example.org/left-pad.tgz"}}}`
)

// What is installed before the source is there must be certain to see nothing else of it.
func TestOnlyWhatCanSeeNothingElseRunsEarly(t *testing.T) {
	python := map[string]string{"requirements.txt": "flask==3.0.0\nrequests>=2 # http\n\n# a comment\nuvicorn[standard]==0.30; python_version > '3.8'\n", "app.py": ""}
	node := map[string]string{"package.json": plainManifest, "package-lock.json": plainLock, "server.js": ""}
	with := func(files map[string]string, name, text string) map[string]string {
		all := map[string]string{name: text}
		for each, content := range files {
			if each != name {
				all[each] = content
			}
		}
		return all
	}
	for name, c := range map[string]struct {
		files    map[string]string
		dir      string
		commands []string
		variable string
		want     int
		read     []string
	}{
		"pip with a plain file":       {files: python, commands: []string{"pip install -r requirements.txt", "python3 build.py"}, want: 1, read: []string{"requirements.txt"}},
		"pip by its module":           {files: python, commands: []string{"python3 -m pip install --no-cache-dir -r requirements.txt"}, want: 1, read: []string{"requirements.txt"}},
		"pip and then itself":         {files: python, commands: []string{"pip install --upgrade pip", "pip3 install -r requirements.txt"}, want: 2, read: []string{"requirements.txt"}},
		"pip in a source directory":   {files: map[string]string{"api/requirements.txt": "flask"}, dir: "api", commands: []string{"pip install -r requirements.txt"}, want: 1, read: []string{"api/requirements.txt"}},
		"npm ci":                      {files: node, commands: []string{"npm ci --omit=dev", "npm run build"}, want: 1, read: []string{"package.json", "package-lock.json"}},
		"npm with settings":           {files: with(node, ".npmrc", "fund=false"), commands: []string{"npm ci"}, want: 1, read: []string{"package.json", "package-lock.json", ".npmrc"}},
		"another command first":       {files: python, commands: []string{"cd sub", "pip install -r requirements.txt"}},
		"another command joined":      {files: python, commands: []string{"pip install -r requirements.txt && python3 build.py"}},
		"a variable in the command":   {files: python, commands: []string{"pip install -r $FILE"}},
		"pip of the source itself":    {files: python, commands: []string{"pip install ."}},
		"pip into a folder":           {files: python, commands: []string{"pip install -t lib -r requirements.txt"}},
		"a missing file":              {files: python, commands: []string{"pip install -r missing.txt"}},
		"a file outside":              {files: python, commands: []string{"pip install -r ../requirements.txt"}},
		"a link":                      {files: map[string]string{"requirements.txt": "-> real.txt", "real.txt": "flask"}, commands: []string{"pip install -r requirements.txt"}},
		"a file that names a file":    {files: with(python, "requirements.txt", "-r more.txt"), commands: []string{"pip install -r requirements.txt"}},
		"a package of the repository": {files: with(python, "requirements.txt", "-e ./lib"), commands: []string{"pip install -r requirements.txt"}},
		"a package by its path":       {files: with(python, "requirements.txt", "./lib"), commands: []string{"pip install -r requirements.txt"}},
		"a package at a URL":          {files: with(python, "requirements.txt", "app @ file:///app/lib"), commands: []string{"pip install -r requirements.txt"}},
		"settings of pip's own":       {files: python, commands: []string{"pip install -r requirements.txt"}, variable: "PIP_CONFIG_FILE"},
		"another path of programs":    {files: python, commands: []string{"pip install -r requirements.txt"}, variable: "PATH"},
		"npm without a lock":          {files: map[string]string{"package.json": plainManifest}, commands: []string{"npm install"}},
		"npm with modules of its own": {files: with(node, "node_modules/x/package.json", "{}"), commands: []string{"npm ci"}},
		"an app with a script":        {files: with(node, "package.json", `{"scripts":{"postinstall":"node setup.js"}}`), commands: []string{"npm ci"}},
		"a package with a script":     {files: with(node, "package-lock.json", `{"lockfileVersion":3,"packages":{"node_modules/x":{"hasInstallScript":true}}}`), commands: []string{"npm ci"}},
		"scripts that are ignored":    {files: with(node, "package-lock.json", `{"lockfileVersion":3,"packages":{"node_modules/x":{"hasInstallScript":true}}}`), commands: []string{"npm ci --ignore-scripts"}, want: 1, read: []string{"package.json", "package-lock.json"}},
		"a dependency in a folder":    {files: with(node, "package.json", `{"dependencies":{"lib":"file:./lib"}}`), commands: []string{"npm ci"}},
		"workspaces":                  {files: with(node, "package.json", `{"workspaces":["a"]}`), commands: []string{"npm ci"}},
		"a package above":             {files: map[string]string{"package.json": "{}", "web/package.json": plainManifest, "web/package-lock.json": plainLock}, dir: "web", commands: []string{"npm ci"}},
		"a broken lock":               {files: with(node, "package-lock.json", "{"), commands: []string{"npm ci"}},
	} {
		plan := Plan{Commands: map[Phase][]string{PhaseBuild: c.commands}}
		if c.variable != "" {
			plan.Environment = []appfile.Variable{{Name: c.variable, Value: "x"}}
		}
		directory := c.dir
		if directory == "" {
			directory = "."
		}
		got := findEarly(plan, folder{files: repositoryOf(c.files), directory: directory})
		if got.Commands != c.want || !slices.Equal(got.Files, c.read) {
			t.Errorf("%s: %d commands that read %q, want %d that read %q", name, got.Commands, got.Files, c.want, c.read)
		}
	}
}
