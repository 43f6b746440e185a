package main

import (
	"os/exec"
	"strings"
	"testing"
)

// gitIn runs git in a folder.
func gitIn(t *testing.T, dir string, arguments ...string) string {
	t.Helper()
	command := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=T", "-c", "user.email=t@example.org"}, arguments...)...)
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", arguments, err, output)
	}
	return strings.TrimSpace(string(output))
}

func TestRemoteSetsARepositoryUp(t *testing.T) {
	fake := newFakeAPI(t)
	dir := python(t)
	t.Chdir(dir)
	apron(t, "remote").expect(t, 1, "no Git repository", "git init", "apron deploy")
	gitIn(t, dir, "init", "--quiet", "--initial-branch=trunk")
	gitIn(t, dir, "add", "--all")
	gitIn(t, dir, "commit", "--quiet", "-m", "one")
	apron(t, "remote").expect(t, 0, "The remote apron is "+fake.url+"/git/shop.git", "apron deploy --name shop", "  git push apron trunk:main")
	gitIn(t, dir, "branch", "--move", "main")

	// What deploy sends has no history in common.
	apron(t, "deploy", dir).expect(t, 0)
	done := apron(t, "remote")
	done.expect(t, 0, "  git push --force apron main")
	if strings.Contains(done.out, "apron deploy") {
		t.Errorf("the service is there, and yet:\n%s", done.out)
	}
	apron(t, "remote", "other").expect(t, 0, "/git/other.git", "  git push apron main")
	if address := gitIn(t, dir, "remote", "get-url", "apron"); address != fake.url+"/git/other.git" {
		t.Errorf("the remote is %s", address)
	}
	helpers := gitIn(t, dir, "config", "--get-all", "credential."+fake.url+".helper")
	if lines := strings.Split(helpers, "\n"); len(lines) != 1 || !strings.HasSuffix(lines[0], " git-credential") {
		t.Errorf("the helpers are %q", helpers) // the empty one before it is trimmed
	}
	apron(t, "remote", "a b").expect(t, 2, "no service name")
}

func TestGitIsToldTheKeyPairForThisApronAlone(t *testing.T) {
	fake := newFakeAPI(t)
	scheme, host, _ := strings.Cut(fake.url, "://")
	for asked, want := range map[string]string{
		"protocol=" + scheme + "\nhost=" + host + "\n\n":    "username=",
		"protocol=" + scheme + "\nhost=git.example.org\n\n": "",
		"protocol=https\nhost=" + host + "\n":               "",
	} {
		done := apronReading(t, strings.NewReader(asked), "git-credential", "get")
		done.expect(t, 0)
		if !strings.HasPrefix(done.out, want) || want == "" && done.out != "" {
			t.Errorf("asked for %q, it says %q", asked, done.out)
		}
	}
	apronReading(t, strings.NewReader("protocol=https\n"), "git-credential", "store").expect(t, 0)
}
