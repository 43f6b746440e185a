package catalogue

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v4"
)

// maxBytes bounds an operator's catalogue.
const maxBytes = 1 << 20

// overlay is a catalogue as a file has it: what is null is taken away from the one below.
type overlay struct {
	Layers   map[string]*Layer   `yaml:"layers"`
	Runtimes map[string]*Runtime `yaml:"runtimes"`
}

// Load lays an operator's file over the embedded catalogue: an entry replaces the one of its name as a whole, or removes
// it when it is null. Errors name file, line, field and rule.
func Load(path string) (*Catalogue, error) {
	below, err := Default()
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the runtimes: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the runtimes: %w", err)
	}
	if len(data) > maxBytes {
		return nil, fmt.Errorf("read the runtimes: %s has more than %d bytes", path, maxBytes)
	}
	return read(path, data, *below)
}

// read lays a file's content over the catalogue below.
func read(name string, data []byte, below Catalogue) (*Catalogue, error) {
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithKnownFields())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var above overlay
	if err := loader.Load(&above); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	merged := &Catalogue{Layers: merge(below.Layers, above.Layers), Runtimes: merge(below.Runtimes, above.Runtimes)}
	for key, runtime := range merged.Runtimes {
		runtime.Name = key
		merged.Runtimes[key] = runtime
	}
	if err := merged.validate(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", name, lineOf(data, err), err)
	}
	return merged, nil
}

func merge[V any](below map[string]V, above map[string]*V) map[string]V {
	merged := map[string]V{}
	for name, value := range below {
		merged[name] = value
	}
	for name, value := range above {
		if value == nil {
			delete(merged, name)
		} else {
			merged[name] = *value
		}
	}
	return merged
}

// lineOf finds the line of what a problem is about: of as much of its path as the file has.
func lineOf(data []byte, err error) int {
	var found *problem
	var document yaml.Node
	if !errors.As(err, &found) || yaml.Load(data, &document) != nil || len(document.Content) == 0 {
		return 1
	}
	node, line := document.Content[0], document.Content[0].Line
	for _, key := range found.path {
		value, at := member(node, key)
		if value == nil {
			break
		}
		node, line = value, at
	}
	return line
}

// member returns a mapping's value and the line of its key.
func member(mapping *yaml.Node, key string) (value *yaml.Node, line int) {
	if mapping.Kind != yaml.MappingNode {
		return nil, 0
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1], mapping.Content[i].Line
		}
	}
	return nil, 0
}
