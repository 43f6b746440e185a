package detect

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	modulePath  = regexp.MustCompile(`(?m)^module\s+"?([^\s"]+)`)
	mainPackage = regexp.MustCompile(`(?m)^package main\b`)
	versionPart = regexp.MustCompile(`^v[0-9]+$`)
	// binary matches a program that a Procfile starts as Heroku builds it.
	binary = regexp.MustCompile(`^(?:\./)?bin/([A-Za-z0-9_.-]+)`)
)

// serverNames are what a folder below cmd/ is called that has the server, among others.
var serverNames = []string{"server", "web", "api", "app", "http", "httpd", "serve", "main"}

func golang(f *folder, found string) app {
	a := app{
		kind: "a Go app (go.mod)", language: "Go",
		missing: "there is no package main at the root or below cmd/",
	}
	module := ""
	if match := modulePath.FindStringSubmatch(f.read(found)); match != nil {
		module = path.Base(match[1])
		if versionPart.MatchString(module) {
			module = path.Base(path.Dir(match[1]))
		}
	}
	if module == "" || module == "." || module == "/" || !plainName.MatchString(module) {
		module = "app"
	}
	var program, where, why string
	commands := goMains(f, "cmd")
	switch {
	case isMain(f, "."):
		program, where, why = module, ".", "package main is at the root"
	case len(commands) == 1:
		program, where, why = commands[0], "./cmd/"+commands[0], "package main is in cmd/"+commands[0]
	case isMain(f, "cmd"):
		program, where, why = module, "./cmd", "package main is in cmd"
	case len(commands) > 1:
		program = goServer(f, commands, module)
		if program == "" {
			a.missing = "there are several programs below cmd/, " + strings.Join(commands, ", ")
			a.run("go build -o bin/ ./cmd/...", "the programs below cmd/")
			return a
		}
		where, why = "./cmd/"+program, "of the programs below cmd/, "+strings.Join(commands, ", ")+", this is the server by its name"
	default:
		return a
	}
	a.run("go build -o bin/"+program+" "+where, why)
	a.start = command{"bin/" + program, "what the build makes"}
	return a
}

// plainName matches names that mean to the shell what they are.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// maxMains bounds how many folders are looked into for programs.
const maxMains = 50

// goMains returns the folders below one that have a package main.
func goMains(f *folder, below string) []string {
	var mains []string
	for i, name := range f.folders(below) {
		if i < maxMains && plainName.MatchString(name) && isMain(f, path.Join(below, name)) {
			mains = append(mains, name)
		}
	}
	return mains
}

// isMain looks at the first few files of a package.
func isMain(f *folder, dir string) bool {
	looked := 0
	for _, name := range f.filesWith(dir, ".go") {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		if text := f.head(path.Join(dir, name)); mainPackage.MatchString(text) && !strings.Contains(text, "//go:build ignore") {
			return true
		}
		if looked++; looked == maxPlaces {
			break
		}
	}
	return false
}

// goServer chooses among several programs: the one that the Procfile starts, the module's, or one that is called like a server.
func goServer(f *folder, commands []string, module string) string {
	wanted := append([]string{module}, serverNames...)
	for line := range strings.Lines(f.read("Procfile")) {
		if start, isWeb := strings.CutPrefix(line, "web:"); isWeb {
			if match := binary.FindStringSubmatch(strings.TrimSpace(start)); match != nil {
				wanted = slices.Insert(wanted, 0, match[1])
			}
		}
	}
	for _, name := range wanted {
		if slices.Contains(commands, name) {
			return name
		}
	}
	return ""
}
