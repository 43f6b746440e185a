package build_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/build"
	"github.com/apron-run/apron/internal/platform"
)

// A fetch refuses links that lead out before a build begins; this is what stands behind it.
func TestNothingOutsideOfTheRepositoryIsReadThroughALink(t *testing.T) {
	w := openWorld(t)
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, filepath.Dir(secret), "secret", "FROM apron.local/python311 # of the machine\n")
	link := func(r build.Request, target, name string) build.Request {
		t.Helper()
		path := filepath.Join(r.Dir, name)
		_ = os.Remove(path) // where the link takes a file's place
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		return r
	}
	inside := request(t, t.TempDir())
	inside.Code.Directory = "app"
	pipe := dockerfile(t, "")
	if err := os.Remove(filepath.Join(pipe.Dir, "Dockerfile")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(pipe.Dir, "Dockerfile"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]build.Request{
		"the configuration":                link(request(t, t.TempDir()), secret, "apprunner.yaml"),
		"the configuration, in a loop":     link(request(t, t.TempDir()), "apprunner.yaml", "apprunner.yaml"),
		"the configuration, by steps up":   link(request(t, t.TempDir()), strings.Repeat("../", 20)+secret, "apprunner.yaml"),
		"the source directory":             link(inside, filepath.Dir(secret), "app"),
		"the Dockerfile":                   link(dockerfile(t, ""), secret, "Dockerfile"),
		"the Dockerfile, which is a pipe":  pipe,
		"a file that the Dockerfile takes": link(dockerfile(t, "FROM apron.local/python311\nCOPY leak /leak\nRUN cat /leak\n"), secret, "leak"),
		"a file that a command reads":      link(script(t, "cat leak\n"), secret, "leak"),
	} {
		made, err := w.try(t, r)
		if platform.AsExplained(err) == nil {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(made.log, "of the machine") {
			t.Errorf("%s: the machine's file is in the log:\n%s", name, made.log)
		}
	}
}
