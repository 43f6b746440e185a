package build

import (
	"regexp"
	"slices"
	"strings"
)

// managers are the tools that a package manager is often asked to install first. None has a script that looks around.
var managers = regexp.MustCompile(`^(npm|pnpm|yarn|corepack|typescript)(@[A-Za-z0-9.^-]+)?$`)

// npmGlobal is `npm install -g` of package managers. It reads no package.json.
func (f folder) npmGlobal(words []string) ([]string, bool) {
	names := 0
	for _, word := range words {
		switch {
		case word == "-g" || word == "--global":
		case slices.Contains(npmOptions, word):
		case managers.MatchString(word):
			names++
		default:
			return nil, false
		}
	}
	return f.with(nil, ".npmrc"), names > 0
}

// prepared is what `corepack prepare` may be asked for: nothing that depends on a folder.
var prepared = regexp.MustCompile(`^(pnpm|yarn|npm)@[A-Za-z0-9.+-]+$`)

// corepack puts pnpm and yarn in place.
func (f folder) corepack(words []string) ([]string, bool) {
	switch {
	case len(words) > 0 && words[0] == "enable":
		return nil, !slices.ContainsFunc(words[1:], func(word string) bool { return word != "pnpm" && word != "yarn" && word != "npm" })
	case len(words) > 1 && words[0] == "prepare":
		return nil, prepared.MatchString(words[1]) && (len(words) == 2 || len(words) == 3 && words[2] == "--activate")
	}
	return nil, false
}

var pnpmOptions = []string{
	"--frozen-lockfile", "--prod", "-P", "--production", "--ignore-scripts", "--prefer-offline", "--silent", "--no-optional",
	"--reporter=append-only", "--force",
}

// silentPnpm matches the versions of pnpm that run no package's script unless they are told to.
var silentPnpm = regexp.MustCompile(`^pnpm@[1-9][0-9]\.`)

// pnpm needs to know that no package's script runs: its lock file says so up to version 6, and newer versions of pnpm, which
// package.json names, run none unless it says so.
func (f folder) pnpm(words []string) ([]string, bool) {
	if len(words) == 0 || words[0] != "install" && words[0] != "i" {
		return nil, false
	}
	manifest, ok := f.standsAlone(words[1:], pnpmOptions, ".pnpmfile.cjs", ".pnpmfile.mjs", "pnpm-workspace.yaml", ".modules.yaml")
	if !ok || f.hasAbove("pnpm-workspace.yaml", ".npmrc") || len(manifest.Pnpm) > 0 {
		return nil, false
	}
	if !f.isPlain("pnpm-lock.yaml", "link:", "file:", "workspace:", "patchedDependencies", "pnpmfile", "requiresBuild: true", "directory:") {
		return nil, false
	}
	tellsScripts := f.isPlain("pnpm-lock.yaml", "lockfileVersion: '9", "lockfileVersion: \"9", "lockfileVersion: 9")
	if !tellsScripts && !silentPnpm.MatchString(manifest.PackageManager) && !slices.Contains(words, "--ignore-scripts") {
		return nil, false
	}
	return f.with([]string{"package.json", "pnpm-lock.yaml"}, ".npmrc"), true
}

var yarnOptions = []string{
	"install", "--frozen-lockfile", "--immutable", "--production", "--production=true", "--prod", "--non-interactive", "--silent",
	"--ignore-scripts", "--mode=skip-build", "--prefer-offline", "--ignore-optional", "--ignore-engines", "--no-progress",
}

// yarn does not note which packages have scripts, so they have to be off: --ignore-scripts, or --mode=skip-build since yarn 2.
func (f folder) yarn(words []string) ([]string, bool) {
	if !slices.Contains(words, "--ignore-scripts") && !slices.Contains(words, "--mode=skip-build") {
		return nil, false
	}
	// A yarn of the repository's own, its plugins and what it keeps are in .yarn.
	_, ok := f.standsAlone(words, yarnOptions, ".yarn", ".pnp.cjs", ".pnp.js")
	if !ok || f.hasAbove(".yarnrc", ".yarnrc.yml", ".npmrc", "yarn.lock") {
		return nil, false
	}
	if f.has(".yarnrc.yml") && !f.isPlain(".yarnrc.yml", "yarnPath", "plugins", "Folder", "injectEnvironmentFiles", "constraints") {
		return nil, false
	}
	if f.has(".yarnrc") && !f.isPlain(".yarnrc", "path", "folder", "offline", "--") {
		return nil, false
	}
	if !f.isPlain("yarn.lock", "file:", "link:", "portal:", "patch:", "exec:") {
		return nil, false
	}
	return f.with([]string{"package.json", "yarn.lock"}, ".npmrc", ".yarnrc", ".yarnrc.yml"), true
}

// standsAlone reads the manifest of an app whose packages can be installed without the app, with options that are known.
func (f folder) standsAlone(options, known []string, without ...string) (manifest npmManifest, ok bool) {
	if slices.ContainsFunc(options, func(option string) bool { return !slices.Contains(known, option) }) {
		return manifest, false
	}
	if f.hasAny(append(without, "node_modules", "binding.gyp")...) || f.hasAbove("package.json") {
		return manifest, false // a package.json further up may make this folder a workspace of another package
	}
	if f.has(".npmrc") && !f.isPlain(".npmrc", "script", "build", "file", "dir", "prefix", "config", "path", "location") {
		return manifest, false
	}
	return manifest, f.decode("package.json", &manifest) && manifest.standsAlone()
}

// harmless are packages whose scripts fetch or compile what is their own, and look at nothing of the app's.
var harmless = []string{
	"@parcel/watcher", "@swc/core", "bcrypt", "better-sqlite3", "bufferutil", "core-js", "core-js-pure", "cpu-features", "esbuild",
	"msgpackr-extract", "sharp", "sqlite3", "unrs-resolver", "utf-8-validate",
}

func isHarmless(location string) bool {
	return slices.Contains(harmless, location[strings.LastIndex(location, "node_modules/")+len("node_modules/"):])
}
