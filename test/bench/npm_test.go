package bench

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// npmRegistry is a registry with the packages of one lock file, fetched before anything is measured: what both sides install
// comes from memory over a link of this machine.
type npmRegistry struct {
	lock lockFile
	// tarballs holds each package's, by "name-version.tgz".
	tarballs map[string][]byte
}

type lockFile struct {
	Packages map[string]lockedPackage `json:"packages"`
}

type lockedPackage struct {
	Version      string            `json:"version"`
	Integrity    string            `json:"integrity,omitempty"`
	Dependencies map[string]string `json:"dependencies,omitempty"`
}

// nameOf is the package at a path such as "node_modules/a/node_modules/b".
func nameOf(path string) string {
	return path[strings.LastIndex(path, "node_modules/")+len("node_modules/"):]
}

// fetchPackages asks npm for all packages that the lock file in dir names.
func fetchPackages(b *testing.B, dir string) *npmRegistry {
	b.Helper()
	registry := &npmRegistry{tarballs: map[string][]byte{}}
	data, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		b.Fatal(err)
	}
	if err := json.Unmarshal(data, &registry.lock); err != nil {
		b.Fatal(err)
	}
	delete(registry.lock.Packages, "") // the app itself
	into := b.TempDir()
	arguments := []string{"pack", "--silent", "--pack-destination", into}
	for path, each := range registry.lock.Packages {
		arguments = append(arguments, nameOf(path)+"@"+each.Version)
	}
	command := exec.Command("npm", arguments...)
	command.Dir = into
	if output, err := command.CombinedOutput(); err != nil {
		b.Fatalf("npm pack: %v\n%s", err, output)
	}
	for path, each := range registry.lock.Packages {
		file := fmt.Sprintf("%s-%s.tgz", nameOf(path), each.Version)
		if registry.tarballs[file], err = os.ReadFile(filepath.Join(into, file)); err != nil {
			b.Fatal(err)
		}
	}
	return registry
}

// serve answers until the benchmark ends.
func (r *npmRegistry) serve(b *testing.B, listener net.Listener) {
	server := &http.Server{Handler: r}
	go func() { _ = server.Serve(listener) }()
	b.Cleanup(func() { _ = server.Close() })
}

// ServeHTTP answers for a package (GET /NAME) and for a tarball (GET /NAME/-/FILE).
func (r *npmRegistry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	name, file, isTarball := strings.Cut(strings.Trim(request.URL.Path, "/"), "/-/")
	if isTarball {
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(r.tarballs[file])
		return
	}
	versions, latest := map[string]any{}, ""
	for path, each := range r.lock.Packages {
		if nameOf(path) != name {
			continue
		}
		latest = each.Version
		versions[each.Version] = map[string]any{
			"name": name, "version": each.Version, "dependencies": each.Dependencies,
			"dist": map[string]string{
				"integrity": each.Integrity,
				"tarball":   fmt.Sprintf("http://%s/%s/-/%s-%s.tgz", request.Host, name, name, each.Version),
			},
		}
	}
	if latest == "" {
		http.NotFound(w, request)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"name": name, "dist-tags": map[string]string{"latest": latest}, "versions": versions})
}
