package build

import (
	"encoding/json"
	"slices"
	"strings"
)

var npmOptions = []string{
	"--omit=dev", "--omit=optional", "--include=dev", "--production", "--only=production", "--no-audit", "--no-fund",
	"--prefer-offline", "--silent", "--legacy-peer-deps", "--ignore-scripts", "--no-optional", "--no-progress", "--force",
}

// npmManifest and npmLock are the parts of npm's files that the rule reads.
type npmManifest struct {
	Scripts              map[string]string `json:"scripts"`
	Workspaces           json.RawMessage   `json:"workspaces"`
	Dependencies         map[string]string `json:"dependencies"`
	DevDependencies      map[string]string `json:"devDependencies"`
	OptionalDependencies map[string]string `json:"optionalDependencies"`
	BundleDependencies   json.RawMessage   `json:"bundleDependencies"`
	PackageManager       string            `json:"packageManager"`
	Pnpm                 json.RawMessage   `json:"pnpm"`
}

type npmLock struct {
	LockfileVersion int `json:"lockfileVersion"`
	Packages        map[string]struct {
		Name             string   `json:"name"` // only where it is not that of the folder
		Resolved         string   `json:"resolved"`
		Link             bool     `json:"link"`
		HasInstallScript bool     `json:"hasInstallScript"`
		OS               []string `json:"os"`
	} `json:"packages"`
}

// lifecycleScripts are those of the app itself that an installation runs.
var lifecycleScripts = []string{
	"preinstall", "install", "postinstall", "prepublish", "preprepare", "prepare", "postprepare", "dependencies",
}

// npm needs a lock file, because only that says which packages bring scripts.
func (f folder) npm(words []string) ([]string, bool) {
	if len(words) == 0 || !slices.Contains([]string{"ci", "install", "i"}, words[0]) {
		return nil, false
	}
	options := words[1:]
	if slices.Contains(options, "-g") || slices.Contains(options, "--global") {
		return f.npmGlobal(options)
	}
	if _, ok := f.standsAlone(options, npmOptions, "npm-shrinkwrap.json"); !ok {
		return nil, false
	}
	var lock npmLock
	if !f.decode("package-lock.json", &lock) || !lock.standsAlone(slices.Contains(options, "--ignore-scripts")) {
		return nil, false
	}
	return f.with([]string{"package.json", "package-lock.json"}, ".npmrc"), true
}

func (m npmManifest) standsAlone() bool {
	if len(m.Workspaces) > 0 || len(m.BundleDependencies) > 0 {
		return false
	}
	for _, script := range lifecycleScripts {
		if m.Scripts[script] != "" {
			return false
		}
	}
	for _, dependencies := range []map[string]string{m.Dependencies, m.DevDependencies, m.OptionalDependencies} {
		for _, version := range dependencies {
			if isLocalVersion(version) {
				return false
			}
		}
	}
	return true
}

// isLocalVersion says whether a dependency is a folder of this machine, in one of npm's ways to write that.
func isLocalVersion(version string) bool {
	for _, prefix := range []string{"file:", "link:", "workspace:", ".", "/", "~/"} {
		if strings.HasPrefix(version, prefix) {
			return true
		}
	}
	return false
}

func (l npmLock) standsAlone(ignoresScripts bool) bool {
	if l.LockfileVersion < 2 || len(l.Packages) == 0 {
		return false
	}
	for name, pkg := range l.Packages {
		if name != "" && (pkg.Link || !strings.HasPrefix(name, "node_modules/") || strings.HasPrefix(pkg.Resolved, "file:")) {
			return false
		}
		isForLinux := len(pkg.OS) == 0 || slices.Contains(pkg.OS, "linux")
		if pkg.HasInstallScript && isForLinux && !ignoresScripts && (!isHarmless(name) || pkg.Name != "" || strings.HasPrefix(pkg.Resolved, "git")) {
			return false
		}
	}
	return true
}
