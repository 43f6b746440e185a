// Package catalogue says which runtimes there are and what each is made of.
//
// A Runtime is the API's language enum with two images: one to build in, with compilers, and a small one to run in. An
// image is a stack of named Layers; runtimes that share a Layer share its bytes on disk. A Layer is a recipe, not an
// archive: Debian packages, packages of the npm registry or a Go toolchain, each pinned as far as its registry allows.
//
// The catalogue is embedded; Load reads another one, so that an operator can replace or add runtimes. This package does
// no other I/O: package recipe makes the layers.
package catalogue

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

//go:embed runtimes.yaml
var embedded []byte

// maxBytes bounds an operator's catalogue.
const maxBytes = 1 << 20

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

// Default returns the embedded catalogue.
func Default() (*Catalogue, error) { return parse("runtimes.yaml", embedded) }

// Load reads a catalogue from a file.
func Load(path string) (*Catalogue, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read runtime catalogue: %w", err)
	}
	if info.Size() > maxBytes {
		return nil, fmt.Errorf("read runtime catalogue: %s has %d bytes, more than %d", path, info.Size(), maxBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read runtime catalogue: %w", err)
	}
	return parse(path, data)
}

func parse(name string, data []byte) (*Catalogue, error) {
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithKnownFields())
	if err != nil {
		return nil, fmt.Errorf("read runtime catalogue %s: %w", name, err)
	}
	var catalogue Catalogue
	if err := loader.Load(&catalogue); err != nil {
		return nil, fmt.Errorf("read runtime catalogue %s: %w", name, err)
	}
	for key, runtime := range catalogue.Runtimes {
		runtime.Name = key
		catalogue.Runtimes[key] = runtime
	}
	if err := catalogue.validate(); err != nil {
		return nil, fmt.Errorf("read runtime catalogue %s: %w", name, err)
	}
	return &catalogue, nil
}

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

func (c *Catalogue) validate() error {
	for name, layer := range c.Layers {
		if err := layer.validate(); err != nil {
			return fmt.Errorf("layer %s: %w", name, err)
		}
	}
	byAPI := map[string]string{}
	for name, runtime := range c.Runtimes {
		if len(runtime.BuildLayers) == 0 || len(runtime.RunLayers) == 0 {
			return fmt.Errorf("runtime %s: build-layers and run-layers are both needed", name)
		}
		if other := byAPI[runtime.API]; runtime.API != "" && other != "" {
			return fmt.Errorf("runtimes %s and %s: both are %s in the API", min(name, other), max(name, other), runtime.API)
		}
		byAPI[runtime.API] = name
		for _, layer := range slices.Concat(runtime.BuildLayers, runtime.RunLayers) {
			if _, ok := c.Layers[layer]; !ok {
				return fmt.Errorf("runtime %s: there is no layer %q", name, layer)
			}
		}
		for _, path := range runtime.Caches {
			if !strings.HasPrefix(path, "/") {
				return fmt.Errorf("runtime %s: the cache %q is not an absolute path", name, path)
			}
		}
	}
	return nil
}

// excludePattern matches what dpkg and apron understand alike.
var excludePattern = regexp.MustCompile(`^/[A-Za-z0-9/._+-]+\*?$`)

func (l Layer) validate() error {
	kinds := 0
	if l.Debian != nil {
		kinds++
		// Both reach mmdebstrap as arguments, where a leading dash would be an option.
		for _, word := range append([]string{l.Debian.Suite}, l.Debian.Packages...) {
			if word == "" || strings.HasPrefix(word, "-") || strings.ContainsAny(word, ", \t\n") {
				return fmt.Errorf("%q is neither a suite nor a package", word)
			}
		}
		for _, pattern := range l.Debian.Excludes {
			if !excludePattern.MatchString(pattern) {
				return fmt.Errorf("%q is not an absolute path that may end in *", pattern)
			}
		}
	}
	if len(l.NPM) > 0 {
		kinds++
		for _, pkg := range l.NPM {
			if !strings.HasPrefix(pkg.Integrity, "sha512-") {
				return fmt.Errorf("npm package %s has no sha512 integrity", pkg.Name)
			}
		}
	}
	if l.Go != nil {
		kinds++
		if !strings.HasPrefix(l.Go.Sum, "h1:") {
			return fmt.Errorf("the Go toolchain %s has no h1 sum", l.Go.Version)
		}
	}
	if kinds != 1 {
		return fmt.Errorf("exactly one of debian, npm and go must be given, not %d", kinds)
	}
	return nil
}
