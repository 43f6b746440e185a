package source_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/source"
)

func TestARepositoryIsAtTheHostThatItsURLLeadsTo(t *testing.T) {
	for _, c := range []struct {
		repository, host string
		want             bool
	}{
		{"https://github.com/ada/app", "github.com", true},
		{"https://GitHub.com:443/ada/app", "github.com", true},
		{"https://ada:secret@github.com/app", "github.com", true},
		{"git@github.com:ada/app.git", "github.com", true},
		{"ssh://git@github.com/ada/app.git", "github.com", true},
		{"ssh://git@github.com:22/ada/app.git", "github.com", true},
		{"git+ssh://git@github.com/ada/app.git", "github.com", true},
		{"http://github.com/ada/app", "github.com", false}, // everyone on the way could read the token
		{"https://github.com:8443/ada/app", "github.com", false},
		{"https://github.com.evil.org/ada/app", "github.com", false},
		{"https://github.com@evil.org/ada/app", "github.com", false},
		{"https://evil.org/github.com/app", "github.com", false},
		{"https://evil.org#@github.com/app", "github.com", false},
		{"https://evil.org?@github.com/app", "github.com", false},
		{`https://evil.org\@github.com/app`, "github.com", false},
		{"github.com@evil.org:app", "github.com", false},
		{"ssh://git@github.com:443/ada/app", "github.com", false},
		{"https://git.lan:8443/app", "git.lan:8443", true},
		{"http://127.0.0.1:3000/app", "127.0.0.1:3000", true},
		{"ssh://git@git.lan:2222/app", "git.lan:2222", true},
		{"git@git.lan:app", "git.lan:2222", false},
		{"https://git.lan/app", "git.lan:443", true},
		{"http://git.lan/app", "git.lan:80", true},
		{"http://git.lan/app", "git.lan", false},
		{"https://[fd00::1]:3000/app", "[fd00::1]:3000", true},
		{"git@[fd00::1]:app", "[fd00::1]", true},
		{"/srv/git/app", "github.com", false},
		{"file:///srv/git/app", "github.com", false},
		{"file://github.com/srv", "github.com", false},
		{"https://%zz", "github.com", false},
		{"", "github.com", false},
	} {
		if got := source.IsAtHost(c.repository, c.host); got != c.want {
			t.Errorf("IsAtHost(%q, %q) is %t", c.repository, c.host, got)
		}
	}
}

func TestAHostIsANameOrAddressPerhapsWithAPort(t *testing.T) {
	for _, host := range []string{"git.example.com", "git", "GIT.lan:8443", "127.0.0.1:3000", "10.0.0.1", "[fd00::1]", "[::1]:3000", strings.Repeat("a", 63) + ".org"} {
		if err := source.CheckHost(host); err != nil {
			t.Errorf("%q: %v", host, err)
		}
	}
	for _, host := range []string{
		"", ":", ":80", "git.lan:", "git.lan:0", "git.lan:65536", "git.lan:080", "git.lan:a", "https://git.lan", "git.lan/app", "git@git.lan", "-git", "git..lan",
		"git.lan.", "a b", "git\nlan", "fd00::1", "[fd00::1", "[git.lan]", "[fd00::1]x", "[::1]:", "[fe80::1%eth0]", "*", strings.Repeat("a", 64), strings.Repeat("a.", 127) + "a",
	} {
		if err := source.CheckHost(host); err == nil {
			t.Errorf("%q is taken", host)
		}
	}
}

func TestAnAccessNeverPrintsItsCredentials(t *testing.T) {
	access := source.Access{Connection: "forge", Host: "git.lan", User: "u", Password: "s3cret", SSHKey: "pr1vate"}
	for _, printed := range []string{fmt.Sprintf("%v %+v %#v %s", access, access, &access, &access), access.LogValue().String()} {
		if strings.Contains(printed, "s3cret") || strings.Contains(printed, "pr1vate") || !strings.Contains(printed, "forge") {
			t.Errorf("it prints as %s", printed)
		}
	}
}
