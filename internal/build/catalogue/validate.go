package catalogue

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/distribution/reference"
)

// namePattern is what Dockerfiles and the command line can name.
var namePattern = regexp.MustCompile(`^[a-z0-9]{1,40}$`)

// excludePattern matches what dpkg and apron understand alike.
var excludePattern = regexp.MustCompile(`^/[A-Za-z0-9/._+-]+\*?$`)

// problem is a rule that a part of a catalogue breaks. path leads to it from the top: runtimes, php81, run-image.
type problem struct {
	path []string
	rule string
}

func (p *problem) Error() string { return strings.Join(p.path, ".") + ": " + p.rule }

func broken(rule string, path ...string) error { return &problem{path, rule} }

// validate returns the first problem, in the order of names.
func (c *Catalogue) validate() error {
	for _, name := range sorted(c.Layers) {
		if err := c.Layers[name].validate(name); err != nil {
			return err
		}
	}
	named := map[string]string{}
	for _, name := range c.Names() {
		runtime := c.Runtimes[name]
		if err := c.validateRuntime(name, runtime); err != nil {
			return err
		}
		if other, taken := named[runtime.API]; taken && runtime.API != "" {
			return broken(fmt.Sprintf("%s is the API's name of the runtime %s already", runtime.API, other), "runtimes", name, "api")
		}
		named[runtime.API] = name
	}
	return nil
}

func (c *Catalogue) validateRuntime(name string, runtime Runtime) error {
	if !namePattern.MatchString(name) {
		return broken("a runtime's name has lower case letters and digits only", "runtimes", name)
	}
	if err := c.validateParts(name, runtime); err != nil {
		return err
	}
	for _, path := range runtime.Caches {
		if !strings.HasPrefix(path, "/") {
			return broken(fmt.Sprintf("%q is not an absolute path", path), "runtimes", name, "caches")
		}
	}
	return nil
}

// validateParts checks that the two images are layers or references.
func (c *Catalogue) validateParts(name string, runtime Runtime) error {
	if runtime.IsImage() {
		if len(runtime.BuildLayers) > 0 || len(runtime.RunLayers) > 0 {
			return broken("a runtime has either layers or images", "runtimes", name)
		}
		if err := validateReference(runtime.BuildImage); err != nil {
			return broken(err.Error(), "runtimes", name, "build-image")
		}
		if err := validateReference(runtime.RunImage); err != nil {
			return broken(err.Error(), "runtimes", name, "run-image")
		}
		return nil
	}
	for field, layers := range map[string][]string{"build-layers": runtime.BuildLayers, "run-layers": runtime.RunLayers} {
		if len(layers) == 0 {
			return broken("a runtime needs build-layers and run-layers, or build-image and run-image", "runtimes", name)
		}
		for _, layer := range layers {
			if _, ok := c.Layers[layer]; !ok {
				return broken(fmt.Sprintf("there is no layer %q", layer), "runtimes", name, field)
			}
		}
	}
	return nil
}

// validateReference wants a name with its registry and with a tag or a digest, so that nothing is left to guess.
func validateReference(image string) error {
	const want = "want HOST/NAME:TAG or HOST/NAME@sha256:DIGEST, such as docker.io/library/php:8.1-cli"
	if image == "" {
		return fmt.Errorf("is needed beside the other image: %s", want)
	}
	named, err := reference.ParseNamed(image)
	if err != nil || reference.IsNameOnly(named) {
		return fmt.Errorf("%q is no such reference: %s", image, want)
	}
	return nil
}

func (l Layer) validate(name string) error {
	var kinds []string
	if l.Debian != nil {
		kinds = append(kinds, "debian")
		// Both reach mmdebstrap as arguments, where a leading dash would be an option.
		for _, word := range append([]string{l.Debian.Suite}, l.Debian.Packages...) {
			if word == "" || strings.HasPrefix(word, "-") || strings.ContainsAny(word, ", \t\n") {
				return broken(fmt.Sprintf("%q is neither a suite nor a package", word), "layers", name, "debian")
			}
		}
		for _, pattern := range l.Debian.Excludes {
			if !excludePattern.MatchString(pattern) {
				return broken(fmt.Sprintf("%q is not an absolute path that may end in *", pattern), "layers", name, "debian")
			}
		}
	}
	if len(l.NPM) > 0 {
		kinds = append(kinds, "npm")
		for _, pkg := range l.NPM {
			if !strings.HasPrefix(pkg.Integrity, "sha512-") {
				return broken(fmt.Sprintf("the package %s has no sha512 integrity", pkg.Name), "layers", name, "npm")
			}
		}
	}
	if l.Go != nil {
		kinds = append(kinds, "go")
		if !strings.HasPrefix(l.Go.Sum, "h1:") {
			return broken(fmt.Sprintf("the toolchain %s has no h1 sum", l.Go.Version), "layers", name, "go")
		}
	}
	if len(kinds) != 1 {
		return broken(fmt.Sprintf("exactly one of debian, npm and go must be given, not %d", len(kinds)), "layers", name)
	}
	return nil
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
