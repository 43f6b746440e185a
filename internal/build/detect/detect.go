// Package detect recognises an app by the files of its repository and writes the apprunner.yaml that it would have needed.
//
// Detect is a pure function of the files: it runs nothing, asks no network and writes nothing. What it returns is the text of
// a file as a person would have written it, with the reason beside each line, so that it can be shown, read like any other
// apprunner.yaml, and committed by those who want something else. It reads few files, each up to a bound, and nothing below the
// second level of folders.
package detect

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/apron-run/apron/internal/platform"
)

// Runtime is one that the text may name: its name in the catalogue and its version.
type Runtime struct{ Name, Version string }

// Options are what the files do not say.
type Options struct {
	// Runtimes are those that there are.
	Runtimes []Runtime
	// Start is the command that starts the app where somebody has said it; it need not be found then.
	Start string
}

// Detection is what the files say.
type Detection struct {
	// Kind says in words what was recognised, and by what: "a Node.js app (package.json)".
	Kind string
	// IsDockerfile says that there is a Dockerfile, which then says everything; Text is empty.
	IsDockerfile bool
	// Text is the text of an apprunner.yaml.
	Text string
	// Notices tell what the author may not expect.
	Notices []string
}

// app is what a language's rules make of a repository.
type app struct {
	kind, language string
	// wanted is the version that the repository asks for.
	wanted wanted
	build  []command
	// start is empty where nothing says it; missing then says what was looked for.
	start   command
	missing string
	// site is what is served where the app is no more than files, which have no server of their own.
	site    *site
	env     []variable
	notices []string
}

// command is a line of a phase and why it is there.
type command struct{ text, why string }

// variable is one of the app's own and why it is there.
type variable struct{ name, value, why string }

func (a *app) notice(format string, args ...any) {
	a.notices = append(a.notices, fmt.Sprintf(format, args...))
}

func (a *app) run(text, why string) { a.build = append(a.build, command{text, why}) }

// language is one that is looked for, by any of the files at the repository's root.
type language struct {
	name string
	// files are what shows it, in the order in which they are named.
	files []string
	rules func(f *folder, found string) app
}

// languages are looked for in this order: package.json is last of those that have a server, because many apps in other languages
// have one for their assets.
var languages = []language{
	{"Go", []string{"go.mod"}, golang},
	{"Java", []string{"pom.xml", "build.gradle", "build.gradle.kts"}, java},
	{"Ruby", []string{"Gemfile"}, ruby},
	{"PHP", []string{"composer.json", "index.php", "public/index.php"}, php},
	{"Python", []string{"requirements.txt", "pyproject.toml", "Pipfile", "manage.py", "main.py", "app.py", "server.py"}, python},
	{"Node.js", []string{"package.json", "server.js", "index.js"}, node},
	{"static", []string{"index.html", "public/index.html"}, static},
}

// strangers are signs of languages that apron has no runtime for.
var strangers = map[string]string{
	"Cargo.toml": "Rust", "mix.exs": "Elixir", "deno.json": "Deno", "Package.swift": "Swift", "build.sbt": "Scala", "project.clj": "Clojure",
	"stack.yaml": "Haskell", "gleam.toml": "Gleam", "CMakeLists.txt": "C++",
}

// Detect recognises the app whose files these are. The error is a *platform.ExplainedError.
func Detect(files fs.FS, options Options) (Detection, error) {
	made, err := recognise(&folder{files: files}, options.Start)
	if err != nil {
		return Detection{}, err
	}
	if made == nil {
		return Detection{Kind: dockerfileKind, IsDockerfile: true}, nil
	}
	return finish(*made, options)
}

// Kind says in words what Detect would recognise. start is Options.Start.
func Kind(files fs.FS, start string) (string, error) {
	made, err := recognise(&folder{files: files}, start)
	if err != nil {
		return "", err
	}
	if made == nil {
		return dockerfileKind, nil
	}
	return made.kind, nil
}

const dockerfileKind = "an app with a Dockerfile"

// recognise returns the first app that something starts, or nil where there is a Dockerfile.
func recognise(f *folder, start string) (*app, error) {
	if f.has("Dockerfile") {
		return nil, nil
	}
	start = strings.TrimSpace(start)
	var first *app // of those that were found, with nothing that starts it
	for _, language := range languages {
		found := f.first(language.files...)
		if found == "" {
			continue
		}
		made := language.rules(f, found)
		addProcfile(f, &made)
		addOthers(f, language, &made)
		if start != "" {
			made.start, made.site = command{start, "the service's own start command"}, nil
		}
		if f.err != nil {
			return nil, f.err
		}
		if made.start.text != "" {
			return &made, nil
		}
		if first == nil {
			first = &made
		}
	}
	if first == nil {
		return nil, nothing(f)
	}
	return nil, platform.Explain(nil, "this is %s, but nothing says how it is started: %s", first.kind, first.missing).
		Try("say it with a line \"web: COMMAND\" in a file Procfile, with apron deploy --start COMMAND, or in an apprunner.yaml")
}

// finish chooses the runtime and writes the text.
func finish(made app, options Options) (Detection, error) {
	runtime, why, notice := made.choose(options.Runtimes)
	if runtime == "" {
		return Detection{}, platform.Explain(nil, "this is %s, and there is no runtime of %s here", made.kind, made.language).
			Try("add a Dockerfile, or a runtime to the catalogue")
	}
	if notice != "" {
		made.notice("%s", notice)
	}
	return Detection{Kind: made.kind, Text: text(made, command{runtime, why}), Notices: made.notices}, nil
}

// addOthers tells of files of other languages, whose commands are not run.
func addOthers(f *folder, used language, made *app) {
	for _, other := range languages {
		if file := other.files[0]; other.name != used.name && other.name != "static" && f.has(file) {
			made.notice("%s is here too, and is left alone: the app is built as %s", file, made.kind)
		}
	}
}

// nothing says what was looked for, and where there is something after all.
func nothing(f *folder) error {
	if f.err != nil {
		return f.err
	}
	var looked []string
	for _, language := range languages {
		looked = append(looked, language.files[0])
	}
	list := "Dockerfile, " + strings.Join(looked, ", ")
	for file, name := range strangers {
		if f.has(file) {
			return platform.Explain(nil, "this is an app in %s (%s), and there is no runtime of %s here", name, file, name).
				Try("add a Dockerfile: apron builds with it by itself")
		}
	}
	if places := f.below(); len(places) > 0 {
		return platform.Explain(nil, "nothing at the root says what app this is (looked for %s), but there is %s", list, strings.Join(places, ", ")).
			Try("name that folder as the SourceDirectory, or deploy it alone: apron deploy FOLDER")
	}
	return platform.Explain(nil, "nothing says what app this is: there is none of %s", list).
		Try("add the file of its language, an apprunner.yaml or a Dockerfile, and check that it is committed")
}
