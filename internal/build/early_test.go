package build

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

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
	npmFiles, pnpmFiles := []string{"package.json", "package-lock.json"}, []string{"package.json", "pnpm-lock.yaml"}
	below := map[string]string{"web/package.json": plainManifest, "web/package-lock.json": plainLock, "app.py": ""}
	pnpm := map[string]string{"package.json": `{"name":"app","packageManager":"pnpm@10.4.1"}`, "pnpm-lock.yaml": "lockfileVersion: '9.0'\n", "server.js": ""}
	yarn := map[string]string{"package.json": plainManifest, "yarn.lock": "left-pad@1.3.0:\n  version \"1.3.0\"\n", "server.js": ""}
	golang := map[string]string{"go.mod": "module a\nreplace b => example.org/c v1.0.0\n", "go.sum": "x", "main.go": ""}
	ruby := map[string]string{"Gemfile": "source \"https://gems.example.org\"\nruby '3.1.2'\n\ngem \"sinatra\", \"~> 4.0\" # web\ngem 'debug', require: false\ngroup :test do\n  gem 'rspec'\nend\n", "Gemfile.lock": "GEM\n", "app.rb": ""}
	maven := map[string]string{"pom.xml": "<project/>", "src/Main.java": ""}
	for name, c := range map[string]struct {
		files    map[string]string
		dir      string
		commands []string
		variable string
		want     int
		read     []string
		// rest is what runs after the source is there, where that is not simply the other commands.
		rest []string
	}{
		"pip with a plain file":       {files: python, commands: []string{"pip install -r requirements.txt", "python3 build.py"}, want: 1, read: []string{"requirements.txt"}},
		"pip by its module":           {files: python, commands: []string{"python3 -m pip install --no-cache-dir -r requirements.txt"}, want: 1, read: []string{"requirements.txt"}},
		"pip and then itself":         {files: python, commands: []string{"pip install --upgrade pip", "pip3 install -r requirements.txt"}, want: 2, read: []string{"requirements.txt"}},
		"pip in a source directory":   {files: map[string]string{"api/requirements.txt": "flask"}, dir: "api", commands: []string{"pip install -r requirements.txt"}, want: 1, read: []string{"api/requirements.txt"}},
		"npm ci":                      {files: node, commands: []string{"npm ci --omit=dev", "npm run build"}, want: 1, read: []string{"package.json", "package-lock.json"}},
		"npm with settings":           {files: with(node, ".npmrc", "fund=false"), commands: []string{"npm ci"}, want: 1, read: []string{"package.json", "package-lock.json", ".npmrc"}},
		"another command first":       {files: python, commands: []string{"make", "pip install -r requirements.txt"}},
		"a folder that is not there":  {files: python, commands: []string{"cd sub", "pip install -r requirements.txt"}},
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
		// Chains, folders and shells.
		"a chain":                       {files: node, commands: []string{"npm ci --omit=dev && npm run build"}, want: 1, read: npmFiles, rest: []string{"npm run build"}},
		"a chain with quotes behind":    {files: node, commands: []string{`npm ci && echo "a && b" && node x.js`, "node y.js"}, want: 1, read: npmFiles, rest: []string{`echo "a && b" && node x.js`, "node y.js"}},
		"a chain with another operator": {files: node, commands: []string{"npm ci && npm test || true"}},
		"a chain that goes on anyway":   {files: node, commands: []string{"npm ci && npm test ; npm run build"}},
		"into a folder": {files: below, commands: []string{"cd web", "npm ci", "npm run build"}, want: 2,
			read: []string{"web/package.json", "web/package-lock.json"}, rest: []string{"cd web", "npm run build"}},
		"into a folder, as a chain": {files: below, commands: []string{"cd web && npm ci && npm run build"}, want: 2,
			read: []string{"web/package.json", "web/package-lock.json"}, rest: []string{"cd web", "npm run build"}},
		"out of the repository":         {files: node, commands: []string{"cd ..", "npm ci"}},
		"through a link":                {files: with(below, "app", "-> web"), commands: []string{"cd app", "npm ci"}},
		"into a folder of npm's parent": {files: with(below, "package.json", plainManifest), commands: []string{"cd web", "npm ci"}},
		"what only prints first":        {files: node, commands: []string{`echo "Installing…"`, "node --version", "set -e", "npm ci"}, want: 4, read: npmFiles},
		"what prints a command":         {files: node, commands: []string{`echo "$(cat server.js)"`, "npm ci"}},
		"what prints into a file":       {files: node, commands: []string{"echo x > .npmrc", "npm ci"}},
		"nothing but printing":          {files: node, commands: []string{"echo one", "echo two"}},
		"options of the shell":          {files: node, commands: []string{"set +e", "npm ci"}},

		// Python.
		"pip with names":               {files: python, commands: []string{"pip install gunicorn flask==3.0.0", "python3 build.py"}, want: 1},
		"pip with a file by name":      {files: python, commands: []string{"pip install lib.whl"}},
		"pip of one Python":            {files: python, commands: []string{"python3.11 -m pip install -r requirements.txt"}, want: 1, read: []string{"requirements.txt"}},
		"a new environment":            {files: python, commands: []string{"python3 -m venv venv", "source venv/bin/activate", "pip install -r requirements.txt", "python3 build.py"}, want: 3, read: []string{"requirements.txt"}, rest: []string{"source venv/bin/activate", "python3 build.py"}},
		"an environment that is there": {files: with(python, "venv/bin/activate", "make"), commands: []string{"python3 -m venv venv", ". venv/bin/activate", "pip install -r requirements.txt"}},
		"a script of the source":       {files: with(python, "env.sh", "make"), commands: []string{". env.sh", "pip install -r requirements.txt"}},

		// Package managers of Node.js.
		"npm and then pnpm":             {files: pnpm, commands: []string{"npm install -g pnpm@10", "pnpm install --frozen-lockfile", "pnpm build"}, want: 2, read: pnpmFiles},
		"corepack and then pnpm":        {files: pnpm, commands: []string{"corepack enable && corepack prepare pnpm@10.4.1 --activate", "pnpm i --prod"}, want: 3, read: pnpmFiles, rest: []string{}},
		"pnpm that may run scripts":     {files: with(pnpm, "package.json", plainManifest), commands: []string{"pnpm install"}},
		"pnpm without scripts":          {files: with(pnpm, "package.json", plainManifest), commands: []string{"pnpm install --ignore-scripts"}, want: 1, read: pnpmFiles},
		"a lock of pnpm that tells":     {files: with(with(pnpm, "package.json", plainManifest), "pnpm-lock.yaml", "lockfileVersion: '6.0'\n"), commands: []string{"pnpm install"}, want: 1, read: pnpmFiles},
		"a lock of pnpm with a script":  {files: with(with(pnpm, "package.json", plainManifest), "pnpm-lock.yaml", "lockfileVersion: '6.0'\n    requiresBuild: true\n"), commands: []string{"pnpm install"}},
		"a hook of pnpm's":              {files: with(pnpm, ".pnpmfile.cjs", "x"), commands: []string{"pnpm install"}},
		"a workspace of pnpm's":         {files: with(pnpm, "pnpm-workspace.yaml", "packages: [a]"), commands: []string{"pnpm install"}},
		"a patch of pnpm's":             {files: with(pnpm, "pnpm-lock.yaml", "lockfileVersion: '9.0'\npatchedDependencies:\n"), commands: []string{"pnpm install"}},
		"settings that allow scripts":   {files: with(pnpm, ".npmrc", "dangerously-allow-all-builds=true"), commands: []string{"pnpm install"}},
		"a program of npm's registry":   {files: node, commands: []string{"npm install -g cowsay", "npm ci"}},
		"yarn, which may run scripts":   {files: yarn, commands: []string{"yarn install --frozen-lockfile"}},
		"yarn without scripts":          {files: yarn, commands: []string{"yarn install --frozen-lockfile --ignore-scripts", "yarn build"}, want: 1, read: []string{"package.json", "yarn.lock"}},
		"yarn 4 without scripts":        {files: with(yarn, ".yarnrc.yml", "nodeLinker: node-modules"), commands: []string{"yarn install --immutable --mode=skip-build"}, want: 1, read: []string{"package.json", "yarn.lock", ".yarnrc.yml"}},
		"a yarn of the repository's":    {files: with(yarn, ".yarn/releases/yarn.cjs", "x"), commands: []string{"yarn install --mode=skip-build"}},
		"a package with a known script": {files: with(node, "package-lock.json", `{"lockfileVersion":3,"packages":{"node_modules/a/node_modules/esbuild":{"hasInstallScript":true}}}`), commands: []string{"npm ci"}, want: 1, read: npmFiles},

		"another package by that name": {files: with(node, "package-lock.json", `{"lockfileVersion":3,"packages":{"node_modules/esbuild":{"name":"x","hasInstallScript":true}}}`), commands: []string{"npm ci"}},
		"a fork by that name":          {files: with(node, "package-lock.json", `{"lockfileVersion":3,"packages":{"node_modules/esbuild":{"resolved":"git+ssh://git@example.org/x.git","hasInstallScript":true}}}`), commands: []string{"npm ci"}},

		// Others.
		"go":                           {files: golang, commands: []string{"go mod download", "go build -o app ."}, want: 1, read: []string{"go.mod", "go.sum"}},
		"go with a module in a folder": {files: with(golang, "go.mod", "module a\nreplace b => ./b\n"), commands: []string{"go mod download"}},
		"go in a workspace":            {files: with(golang, "go.work", "use ."), commands: []string{"go mod download"}},
		"go with settings":             {files: golang, commands: []string{"go mod download"}, variable: "GOFLAGS"},
		"go with a key of a service":   {files: golang, commands: []string{"go mod download"}, variable: "GOOGLE_API_KEY", want: 1, read: []string{"go.mod", "go.sum"}},
		"bundle":                       {files: ruby, commands: []string{"bundle install --jobs 4", "rake"}, want: 1, read: []string{"Gemfile", "Gemfile.lock"}},
		"a Gemfile that is a program":  {files: with(ruby, "Gemfile", "gem 'a', File.read('v')\n"), commands: []string{"bundle install"}},
		"a gem in a folder":            {files: with(ruby, "Gemfile", "gem 'a', path: 'a'\n"), commands: []string{"bundle install"}},
		"a gem of the repository":      {files: with(ruby, "Gemfile", "gemspec\n"), commands: []string{"bundle install"}},
		"mvn":                          {files: maven, commands: []string{"mvn -B dependency:go-offline", "mvn package"}, want: 1, read: []string{"pom.xml"}},
		"mvn with modules":             {files: with(maven, "pom.xml", "<project><modules></modules></project>"), commands: []string{"mvn dependency:go-offline"}},
		"mvn with settings":            {files: with(maven, ".mvn/maven.config", "-f other"), commands: []string{"mvn dependency:go-offline"}},
		"mvn that builds":              {files: maven, commands: []string{"mvn package"}},
	} {
		plan := Plan{Commands: map[Phase][]string{PhaseBuild: c.commands}}
		if c.variable != "" {
			plan.Environment = []appfile.Variable{{Name: c.variable, Value: "x"}}
		}
		directory := c.dir
		if directory == "" {
			directory = "."
		}
		rest := c.rest
		if rest == nil && c.want > 0 {
			rest = c.commands[c.want:]
		}
		got := findEarly(plan, folder{files: repositoryOf(c.files), directory: directory})
		if len(got.Commands[PhaseBuild]) != c.want || !slices.Equal(got.Files, c.read) || !slices.Equal(got.Rest[PhaseBuild], rest) {
			t.Errorf("%s: early are %q, which read %q, and left are %q; want %d that read %q, and left %q",
				name, got.Commands[PhaseBuild], got.Files, got.Rest[PhaseBuild], c.want, c.read, rest)
		}
	}
}

// A first phase that runs early as a whole lets the next one begin.
func TestTheSecondPhaseMayRunEarlyToo(t *testing.T) {
	files := repositoryOf(map[string]string{"requirements.txt": "flask", "app.py": ""})
	got := findEarly(Plan{Commands: map[Phase][]string{
		PhasePreBuild: {"echo \"begin\"", "pip install --upgrade pip"}, PhaseBuild: {"pip install -r requirements.txt", "python3 build.py"},
	}}, folder{files: files, directory: "."})
	want := early{
		Commands: map[Phase][]string{PhasePreBuild: {"echo \"begin\"", "pip install --upgrade pip"}, PhaseBuild: {"pip install -r requirements.txt"}},
		Rest:     map[Phase][]string{PhaseBuild: {"python3 build.py"}}, Files: []string{"requirements.txt"}, Folders: []string{"."},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got = findEarly(Plan{Commands: map[Phase][]string{
		PhasePreBuild: {"pip install --upgrade pip", "python3 prepare.py"}, PhaseBuild: {"pip install -r requirements.txt"},
	}}, folder{files: files, directory: "."})
	if len(got.Commands[PhaseBuild]) > 0 || !slices.Equal(got.Rest[PhasePreBuild], []string{"python3 prepare.py"}) {
		t.Errorf("with a command of the source before it, the second phase runs early: %+v", got)
	}
}
