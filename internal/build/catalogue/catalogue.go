// Package catalogue says which runtimes there are and what each is made of.
//
// A Runtime is the API's language enum with two images: one to build in, with compilers, and a small one to run in. They
// are recipes or references. A recipe is a stack of named Layers; runtimes that share a Layer share its bytes on disk. A
// Layer is no archive either: Debian packages, packages of the npm registry or a Go toolchain, each pinned as far as its
// registry allows. A reference names an image of a registry, by tag or by digest.
//
// The catalogue is embedded; Load lays an operator's file over it. This package does no other I/O: package recipe makes
// the layers and pulls the images.
package catalogue

import (
	_ "embed"
	"slices"
)

//go:embed runtimes.yaml
var embedded []byte

// Catalogue is a set of runtimes.
type Catalogue struct {
	// Layers maps a layer's name to its recipe.
	Layers map[string]Layer `yaml:"layers"`
	// Runtimes maps the name that apprunner.yaml uses to the runtime.
	Runtimes map[string]Runtime `yaml:"runtimes"`
}

// Runtime is one language at one version.
type Runtime struct {
	// Name is what apprunner.yaml writes: python311.
	Name string `yaml:"-"`
	// API is the enum's value: PYTHON_311. It is empty for a runtime that App Runner never had.
	API string `yaml:"api"`
	// Version is the language's version as installed; run.runtime-version is compared with it.
	Version string `yaml:"version"`
	// IsOriginal says that App Runner builds this runtime the original way, where pre-run does not exist.
	IsOriginal bool `yaml:"original"`
	// Tools are the commands that builds may count on, the language's own and those that install packages.
	Tools []string `yaml:"tools"`
	// BuildLayers and RunLayers name the layers of the two images, lowest first.
	BuildLayers []string `yaml:"build-layers"`
	RunLayers   []string `yaml:"run-layers"`
	// BuildImage and RunImage are references of the two images, for a runtime without layers: HOST/NAME:TAG or
	// HOST/NAME@DIGEST.
	BuildImage string `yaml:"build-image"`
	RunImage   string `yaml:"run-image"`
	// Environment is set in both images, BuildEnvironment only while building.
	Environment      map[string]string `yaml:"environment"`
	BuildEnvironment map[string]string `yaml:"build-environment"`
	// Caches are folders that builds of one service share, so that packages are fetched once.
	Caches []string `yaml:"caches"`
}

// Layer is the recipe of one file system layer. Exactly one of Debian, NPM and Go is set.
type Layer struct {
	Debian *Debian      `yaml:"debian" json:",omitempty"`
	NPM    []NPMPackage `yaml:"npm" json:",omitempty"`
	Go     *GoToolchain `yaml:"go" json:",omitempty"`
	// Links maps the path of a symbolic link to its target, Files a path to the text of a small file. A text that begins with
	// #! is a script that may be run.
	Links map[string]string `yaml:"links" json:",omitempty"`
	Files map[string]string `yaml:"files" json:",omitempty"`
}

// Debian is a minimal installation of a suite with packages added.
type Debian struct {
	Suite    string   `yaml:"suite"`
	Packages []string `yaml:"packages"`
	// Excludes are the paths that are left out. One that ends in * means all that begin so.
	Excludes []string `yaml:"excludes" json:",omitempty"`
}

// NPMPackage is one package of the npm registry; its dependencies are not installed.
type NPMPackage struct {
	Name    string `yaml:"name"`
	Version string `yaml:"version"`
	// Integrity is the registry's own checksum: sha512-….
	Integrity string `yaml:"integrity"`
	// Copy maps a file or folder of the package to where it goes; "." is the whole package.
	Copy map[string]string `yaml:"copy"`
}

// GoToolchain is a Go release as the Go module proxy has it.
type GoToolchain struct {
	// Version is like go1.27.4, Sum the hash of the module zip as go.sum would write it: h1:….
	Version string `yaml:"version"`
	Sum     string `yaml:"sum"`
	// Into is the folder that becomes GOROOT.
	Into string `yaml:"into"`
}

// IsImage says whether the runtime's images are references, which are pulled, and no recipes, which are made here.
func (r Runtime) IsImage() bool { return r.BuildImage != "" || r.RunImage != "" }

// Default returns the embedded catalogue.
func Default() (*Catalogue, error) { return read("runtimes.yaml", embedded, Catalogue{}) }

// Names returns the names of all runtimes as apprunner.yaml writes them, sorted.
func (c *Catalogue) Names() []string {
	names := make([]string, 0, len(c.Runtimes))
	for name := range c.Runtimes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// APINames returns the enum's values of all runtimes that have one, sorted.
func (c *Catalogue) APINames() []string {
	names := make([]string, 0, len(c.Runtimes))
	for _, runtime := range c.Runtimes {
		if runtime.API != "" {
			names = append(names, runtime.API)
		}
	}
	slices.Sort(names)
	return names
}

// ByName finds a runtime by the name that apprunner.yaml uses.
func (c *Catalogue) ByName(name string) (Runtime, bool) {
	runtime, ok := c.Runtimes[name]
	return runtime, ok
}

// ByAPI finds a runtime by the API's enum value.
func (c *Catalogue) ByAPI(api string) (Runtime, bool) {
	for _, runtime := range c.Runtimes {
		if api != "" && runtime.API == api {
			return runtime, true
		}
	}
	return Runtime{}, false
}

// LayersOf returns the recipes of the named layers, in order. The names were checked by Load.
func (c *Catalogue) LayersOf(names []string) []Layer {
	layers := make([]Layer, len(names))
	for i, name := range names {
		layers[i] = c.Layers[name]
	}
	return layers
}
