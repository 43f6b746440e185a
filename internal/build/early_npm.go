package build

import (
	"encoding/json"
	"io/fs"
	"path"
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
}

type npmLock struct {
	LockfileVersion int `json:"lockfileVersion"`
	Packages        map[string]struct {
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
func (f folder) npm(options []string) ([]string, bool) {
	for _, option := range options {
		if !slices.Contains(npmOptions, option) {
			return nil, false
		}
	}
	for _, other := range []string{"node_modules", "binding.gyp", "npm-shrinkwrap.json"} {
		if f.has(other) {
			return nil, false
		}
	}
	for parent := f.directory; parent != "."; {
		// A package.json further up may make this folder a workspace of another package.
		parent = path.Dir(parent)
		if _, err := fs.Stat(f.files, path.Join(parent, "package.json")); err == nil {
			return nil, false
		}
	}
	var manifest npmManifest
	var lock npmLock
	if !f.decode("package.json", &manifest) || !f.decode("package-lock.json", &lock) {
		return nil, false
	}
	ignoresScripts := slices.Contains(options, "--ignore-scripts")
	if !manifest.standsAlone() || !lock.standsAlone(ignoresScripts) {
		return nil, false
	}
	files := []string{f.path("package.json"), f.path("package-lock.json")}
	if f.has(".npmrc") {
		files = append(files, f.path(".npmrc"))
	}
	return files, true
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
		if pkg.HasInstallScript && isForLinux && !ignoresScripts {
			return false
		}
	}
	return true
}
