package detect

import (
	"encoding/json"
	"path"
	"regexp"
	"strings"
)

// manifest is what is read of package.json. Members of other types than these are left out.
type manifest struct {
	Main            string            `json:"main"`
	Scripts         map[string]string `json:"scripts"`
	Dependencies    map[string]string `json:"dependencies"`
	DevDependencies map[string]string `json:"devDependencies"`
	Engines         map[string]string `json:"engines"`
	Volta           map[string]string `json:"volta"`
	PackageManager  string            `json:"packageManager"`
	Workspaces      json.RawMessage   `json:"workspaces"`
}

func (m manifest) has(name string) bool {
	_, isDependency := m.Dependencies[name]
	_, isDev := m.DevDependencies[name]
	return isDependency || isDev
}

// dev matches a start script that is for development only.
var dev = regexp.MustCompile(`^(?:[A-Z_]+=\S+\s+)*(?:npx\s+)?(?:vite\b|react-scripts start|vue-cli-service serve|ng serve|gatsby (?:develop|serve)|astro (?:dev|preview)|parcel\b|` +
	`webpack(?:-dev-server| serve)|(?:npx )?eleventy --serve|docusaurus (?:start|serve)|vitepress dev|next dev|nuxt dev|nuxi dev)`)

func node(f *folder, found string) app {
	a := app{
		kind: "a Node.js app (" + found + ")", language: "Node.js",
		missing: "package.json has no start script and no main, and there is no server.js, index.js or app.js",
		env:     []variable{{"NODE_ENV", "production", "what packages of Node.js ask for in production; the build installs all the same what it needs"}},
	}
	if found != "package.json" {
		a.start = command{"node " + found, found + " is there"}
		return a
	}
	var m manifest
	f.json(found, &m)
	a.wanted = nodeVersion(f, m)
	tool := installNode(f, &a, m)
	if m.Scripts["build"] != "" {
		a.run(tool+" run build", "package.json has a build script")
	}
	startNode(f, &a, m, tool)
	return a
}

func nodeVersion(f *folder, m manifest) wanted {
	if m.Engines["node"] != "" {
		return wanted{m.Engines["node"], "package.json (engines.node)"}
	}
	if file := f.first(".nvmrc", ".node-version"); file != "" && f.line(file) != "" {
		return wanted{f.line(file), file}
	}
	if m.Volta["node"] != "" {
		return wanted{m.Volta["node"], "package.json (volta.node)"}
	}
	return wanted{}
}

var (
	managerPattern = regexp.MustCompile(`^(npm|yarn|pnpm|bun)@([0-9]+)(\.[0-9A-Za-z.-]+)?`)
	lockVersion    = regexp.MustCompile(`(?m)^lockfileVersion:\s*['"]?([0-9]+)`)
)

// pnpmOf says which pnpm writes a lock file's version.
var pnpmOf = map[string]string{"5": "7", "6": "8", "9": "9"}

// installNode installs by the tool that the repository is for, and returns the tool.
func installNode(f *folder, a *app, m manifest) string {
	manager := managerPattern.FindStringSubmatch(m.PackageManager)
	named, major, exact := "", "", ""
	if manager != nil {
		named, major, exact = manager[1], manager[2], manager[2]+manager[3]
	}
	isYarn := f.has("yarn.lock") && !f.has("pnpm-lock.yaml") && !f.has("package-lock.json") || named == "yarn"
	switch {
	case named == "pnpm" || named == "" && f.has("pnpm-lock.yaml"):
		version, why := exact, "package.json (packageManager) names it"
		if version == "" {
			version, why = "10", "pnpm-lock.yaml is pnpm's"
			if match := lockVersion.FindStringSubmatch(f.head("pnpm-lock.yaml")); match != nil && pnpmOf[match[1]] != "" {
				version = pnpmOf[match[1]]
			}
		}
		a.run("npm install --global pnpm@"+version, why)
		a.run("pnpm install"+frozen(f, a, "pnpm-lock.yaml", " --frozen-lockfile"), "")
		return "pnpm"
	case isYarn && (major != "" && major != "1" || f.has(".yarnrc.yml")):
		a.run("corepack enable", "this Yarn is newer than 1: corepack brings it")
		a.run("yarn install"+frozen(f, a, "yarn.lock", " --immutable"), "")
		return "yarn"
	case isYarn:
		a.run("yarn install"+frozen(f, a, "yarn.lock", " --frozen-lockfile"), "yarn.lock is Yarn's")
		return "yarn"
	}
	if named == "bun" || f.first("bun.lock", "bun.lockb") != "" {
		a.notice("the app's packages are locked for Bun, which is not here: npm installs them")
	}
	if lock := f.first("package-lock.json", "npm-shrinkwrap.json"); lock != "" {
		a.run("npm ci", lock+" is npm's")
		return "npm"
	}
	a.run("npm install"+frozen(f, a, "package-lock.json", ""), "package.json names the packages")
	return "npm"
}

// frozen returns the option that keeps to a lock file, and tells when there is none.
func frozen(f *folder, a *app, lock, option string) string {
	if f.has(lock) {
		return option
	}
	a.notice("there is no %s, so the versions of packages may change from build to build: commit it", lock)
	return ""
}

func firstBytes(text string, n int) string { return text[:min(n, len(text))] }

func startNode(f *folder, a *app, m manifest, tool string) {
	start, hasBuild := m.Scripts["start"], m.Scripts["build"] != ""
	isStatic := hasBuild && (start == "" || dev.MatchString(start)) && !f.has("server.js")
	switch {
	case bunScript.MatchString(start):
		a.missing = "the start script is for Bun, which is not here"
		return
	case m.has("@nestjs/core") && m.Scripts["start:prod"] != "" && hasBuild:
		a.start = command{tool + " run start:prod", "package.json has a script for production"}
		return
	case start != "" && !dev.MatchString(start):
		a.start = command{tool + " start", "package.json has a start script"}
		if m.has("@astrojs/node") {
			a.env = append(a.env, variable{"HOST", "0.0.0.0", "Astro listens on the loopback address alone otherwise"})
		}
		return
	case isStatic && m.has("next"):
		if config := f.first("next.config.js", "next.config.mjs", "next.config.ts"); config != "" && nextExport.MatchString(f.head(config)) {
			a.kind = "a static site (package.json)"
			a.serve(site{folder: "out", why: config + " says export"})
			return
		}
		a.start = command{"npx next start", "package.json has next"}
		return
	case isStatic && m.has("nuxt"):
		a.start = command{"node .output/server/index.mjs", "package.json has nuxt"}
		return
	case isStatic && m.has("@sveltejs/adapter-node"):
		a.start = command{"node build", "package.json has @sveltejs/adapter-node"}
		return
	case isStatic && m.has("@astrojs/node"):
		a.start = command{"node dist/server/entry.mjs", "package.json has @astrojs/node"}
		a.env = append(a.env, variable{"HOST", "0.0.0.0", "Astro listens on the loopback address alone otherwise"})
		return
	}
	if dir, what := staticOutput(f, m); isStatic && dir != "" {
		a.kind = "a static site (package.json)"
		a.serve(site{folder: dir, why: "package.json has " + what + ", whose build makes this folder", isSingle: !isMadeOfPages[what]})
		return
	}
	file := path.Clean("/" + m.Main)[1:]
	if m.Main == "" || !f.has(file) || !plainPath.MatchString(file) {
		file = f.first("server.js", "index.js", "app.js", "main.js", "server.mjs", "index.mjs", "src/index.js", "src/server.js")
	}
	switch {
	case file != "":
		a.start = command{"node " + file, file + " is there"}
	case start != "":
		a.start = command{tool + " start", "package.json has a start script"}
		a.notice("the start script looks like one for development: %s", oneLine(firstBytes(start, 80)))
	case len(m.Workspaces) > 0:
		a.missing = "package.json has workspaces, and no start script that says which of them is the server"
	}
}

var (
	bunScript  = regexp.MustCompile(`\bbunx?\b`)
	plainPath  = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_./-]*$`)
	nextExport = regexp.MustCompile(`output\s*:\s*['"]export['"]`)
)

// outputs are the folders into which tools build a site, by the package that shows the tool. The first that is there counts.
var outputs = []struct{ name, folder string }{
	{"react-scripts", "build"},
	{"@docusaurus/core", "build"},
	{"@sveltejs/adapter-static", "build"},
	{"gatsby", "public"},
	{"@11ty/eleventy", "_site"},
	{"vitepress", ".vitepress/dist"},
	{"astro", "dist"},
	{"@vue/cli-service", "dist"},
	{"vite", "dist"},
	{"parcel", "dist"},
	{"webpack", "dist"},
}

// isMadeOfPages says which of them make a page for each address, so that an address without one is an error.
var isMadeOfPages = map[string]bool{"@docusaurus/core": true, "gatsby": true, "@11ty/eleventy": true, "vitepress": true, "astro": true}

// staticOutput returns the folder that a build of a static site makes, and which tool makes it; "" for none.
func staticOutput(f *folder, m manifest) (folder, tool string) {
	if m.has("@angular/core") && f.has("angular.json") {
		return angularOutput(f), "@angular/core"
	}
	for _, each := range outputs {
		if m.has(each.name) {
			return each.folder, each.name
		}
	}
	return "", ""
}

// angularOutput is dist/PROJECT, with browser/ below it where the newer builder makes it.
func angularOutput(f *folder) string {
	var workspace struct {
		Projects map[string]struct {
			Architect struct {
				Build struct {
					Builder string `json:"builder"`
					Options struct {
						OutputPath json.RawMessage `json:"outputPath"`
					} `json:"options"`
				} `json:"build"`
			} `json:"architect"`
		} `json:"projects"`
	}
	f.json("angular.json", &workspace)
	first := ""
	for name := range workspace.Projects {
		if first == "" || name < first {
			first = name
		}
	}
	build := workspace.Projects[first].Architect.Build
	var folder string
	if json.Unmarshal(build.Options.OutputPath, &folder) != nil || !plainPath.MatchString(folder) {
		folder = "dist/" + path.Base(first)
	}
	if strings.HasSuffix(build.Builder, ":application") {
		folder += "/browser"
	}
	if !plainPath.MatchString(folder) {
		return ""
	}
	return folder
}
