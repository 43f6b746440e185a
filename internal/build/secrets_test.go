package build_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/build"
	"github.com/apron-run/apron/internal/platform"
)

// What the machine knows of proxies and registries reaches the programs of a build, and from there nothing that stays: no
// layer, no image's description, no cache key or record of BuildKit's, no log and no error.
func TestSecretsOfTheMachineStayOutOfLayersCachesAndLogs(t *testing.T) {
	const secret = "pl4nted-s3cret"
	for name, value := range map[string]string{
		"HTTP_PROXY": "http://user:" + secret + "@127.0.0.1:9", "https_proxy": "http://user:" + secret + "@127.0.0.1:9",
		"PIP_INDEX_URL": "https://user:" + secret + "@pypi.example.org/simple", "GOPROXY": "https://" + secret + "@go.example.org,direct",
		"NPM_CONFIG_REGISTRY": "https://user:" + secret + "@npm.example.org/", "APRON_DATABASE": "postgres://apron:" + secret + "@db/apron",
	} {
		t.Setenv(name, value)
	}
	w := openWorld(t)
	with := w.with(t, func(*build.Config) {}) // it learns the machine's settings anew
	attempts := map[string]build.Request{
		"a managed runtime": script(t, "env | sort; test -n \"$PIP_INDEX_URL\" -a -n \"$HTTP_PROXY\"; echo built > /app/built\n"),
		"one that fails":    script(t, "env | sort; exit 7\n"),
		"a Dockerfile": dockerfile(t, "FROM apron.local/python311\nARG HTTP_PROXY\nARG https_proxy\n"+
			"RUN env | sort && test -n \"$HTTP_PROXY\"\nCMD [\"true\"]\n"),
	}
	for name, r := range attempts {
		made, err := with.try(t, r)
		explained := platform.AsExplained(err)
		if fails := name == "one that fails"; fails != (err != nil) || fails && explained == nil {
			t.Fatalf("%s: %v", name, err)
		}
		if explained != nil && strings.Contains(explained.Error()+strings.Join(explained.Evidence, " "), secret) {
			t.Errorf("%s: the error shows the secret: %v %q", name, explained, explained.Evidence)
		}
		if strings.Contains(made.log, secret) || !strings.Contains(made.log, "***") {
			t.Errorf("%s: the log shows the secret, or nothing of it:\n%s", name, made.log)
		}
	}
	// All layers lie there as files, beside descriptions of images and BuildKit's databases.
	// containerd's own database holds what a step was started with, for root alone to read, until it writes over it.
	found, err := exec.Command("grep", "-rlaF", "--exclude=meta.db", secret, w.dir).Output()
	if len(found) > 0 || err == nil { // it ends with 1 for nothing, with 2 for what cannot be read, such as a namespace
		t.Errorf("the secret is in\n%s", found)
	}
}
