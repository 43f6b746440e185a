package detect

import "strings"

const (
	// siteRuntime is the runtime that serves files and needs no language for it.
	siteRuntime = "static"
	// siteNode is the Node.js that it builds with.
	siteNode = 24
)

// site is a folder of files that are served as they are.
type site struct {
	folder, why string
	// isSingle says that the files are one app with its routes in the browser.
	isSingle bool
}

// static is a site that nothing builds.
func static(_ *folder, found string) app {
	root := strings.TrimSuffix(strings.TrimSuffix(found, "index.html"), "/")
	if root == "" {
		root = "."
	}
	a := app{kind: "a static site (" + found + ")", language: "Node.js"}
	a.serve(site{folder: root, why: found + " is there, and nothing that would make it"})
	return a
}

// serve makes a a site. How it is served is decided with the runtime.
func (a *app) serve(files site) {
	a.site, a.env = &files, nil
	a.start = command{"serve " + files.folder, files.why}
}

// choose chooses the app's runtime. A site gets the runtime for sites where there is one that builds as the site wants to be
// built, else Node.js with a server from npm.
func (a *app) choose(runtimes []Runtime) (name, why, notice string) {
	name, why, notice = choose(runtimes, a.language, a.wanted)
	if a.site == nil {
		return name, why, notice
	}
	for _, runtime := range runtimes {
		if runtime.Name == siteRuntime && buildsSite(a.wanted) {
			a.start.text = "serve-static " + option(a.site.isSingle, "--single ") + a.site.folder
			return siteRuntime, "files are served by a small web server", ""
		}
	}
	a.run("npm install --global serve@14", "a small web server")
	a.start.text = "serve " + option(a.site.isSingle, "--single ") + "--no-clipboard --no-port-switching --listen tcp://0.0.0.0:$PORT " + a.site.folder
	return name, why, notice
}

// buildsSite says whether the runtime for sites builds with the Node.js that is wanted.
func buildsSite(want wanted) bool {
	if strings.TrimSpace(want.text) == "" {
		return true
	}
	accepts, ok := parseRange(want.text, "Node.js")
	return !ok || accepts(line{siteNode})
}

func option(isGiven bool, text string) string {
	if isGiven {
		return text
	}
	return ""
}
