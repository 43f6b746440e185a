package git_test

import (
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/git"
)

// remoteHelper matches what git would hand to a program of the name before the colons (gitremote-helpers(7)).
var remoteHelper = regexp.MustCompile(`^[A-Za-z0-9+.-]+::`)

func FuzzRepositoryURL(f *testing.F) {
	for _, seed := range []string{
		"https://user:pass@example.org/app.git", "ssh://git@example.org:22/app", "git@example.org:app.git", "/", "file:///", "http://127.0.0.1:8700/git/../x",
		"http://127.0.0.1:8700/git/%2e%2e%2fx.git", "-oProxyCommand=x:y", "ext::sh", "https://u:p%40ss@h/", "host:-x", "[::1]:x", "ssh://u:p@-h/x",
	} {
		f.Add(seed)
	}
	repositories := git.New(git.Config{Data: f.TempDir(), Endpoint: source.NewEndpoint("127.0.0.1:8700")})
	f.Fuzz(func(t *testing.T, raw string) {
		argument, shown, err := git.Parse(repositories, raw)
		if err != nil {
			if platform.AsExplained(err) == nil {
				t.Errorf("%q is not explained: %v", raw, err)
			}
			return
		}
		if argument == "" || shown == "" || strings.HasPrefix(argument, "-") || remoteHelper.MatchString(argument) {
			t.Errorf("%q becomes the argument %q", raw, argument)
		}
		for _, text := range []string{argument, shown} {
			if u, err := url.Parse(text); err == nil && strings.Contains(text, "://") {
				if _, has := u.User.Password(); has {
					t.Errorf("%q keeps its password in %q", raw, text)
				}
			}
		}
	})
}

func FuzzBranchName(f *testing.F) {
	for _, seed := range []string{"main", "feature/x", "a..b", "@", "x.lock", "-x", "a b", "ü", "a\x7f", "refs/heads/x", "a@{b", "HEAD"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if !git.IsBranchName(name) {
			return
		}
		if err := exec.Command("git", "check-ref-format", "refs/heads/"+name).Run(); err != nil {
			t.Errorf("git refuses %q: %v", name, err)
		}
	})
}
