package detect

import "strings"

// static is a site that is served as it is.
func static(_ *folder, found string) app {
	root := strings.TrimSuffix(strings.TrimSuffix(found, "index.html"), "/")
	if root == "" {
		root = "."
	}
	a := app{kind: "a static site (" + found + ")", language: "Node.js"}
	serve(&a, root, found+" is there, and nothing that would make it", "")
	return a
}

// serve serves a folder. option is one of the server's own, with a space behind it.
func serve(a *app, folder, why, option string) {
	a.run("npm install --global serve@14", "a small web server")
	a.start = command{"serve " + option + "--no-clipboard --no-port-switching --listen tcp://0.0.0.0:$PORT " + folder, why}
}
