package build_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/build"
	"github.com/apron-run/apron/internal/platform"
)

// dockerfile is a request to build with this Dockerfile, on the runtime python311.
func dockerfile(t testing.TB, text string) build.Request {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "Dockerfile", text)
	r := request(t, dir)
	r.Tags = map[string]string{platform.TagBuild: "dockerfile"}
	return r
}

func TestADockerfileAddsFilesOfTheOutside(t *testing.T) {
	w := openWorld(t)
	asked := ""
	address := outside(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/there" {
			http.Redirect(w, r, "/here/a%2Fb?of=1%2B1", http.StatusFound)
			return
		}
		asked = r.URL.String()
		fmt.Fprint(w, "from the outside")
	}))
	made := w.mustBuild(t, dockerfile(t, "FROM apron.local/python311\nADD http://"+address+"/there?to=x /added\nRUN cat /added\nCMD [\"true\"]\n"))
	if !strings.Contains(made.log, "from the outside") || asked != "/here/a%2Fb?of=1%2B1" {
		t.Errorf("the server was asked for %q, and the build said:\n%s", asked, made.log)
	}
	if strings.Contains(made.log, "127.0.0.1") {
		t.Errorf("the log shows how it was fetched:\n%s", made.log)
	}
}

// What a Dockerfile lets BuildKit fetch comes from the machine's own network unless it is held back.
func TestADockerfileAddsNothingOfTheMachine(t *testing.T) {
	w := openWorld(t)
	asked := false
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer inside.Close()
	_, port, _ := net.SplitHostPort(inside.Listener.Addr().String())
	away := outside(t, http.RedirectHandler(inside.URL+"/latest/meta-data/", http.StatusFound))
	for name, test := range map[string]struct{ line, want string }{
		"loopback":             {"ADD " + inside.URL + "/secret /", "leads to this machine"},
		"loopback by name":     {"ADD http://localhost:" + port + "/secret /", "leads to this machine"},
		"all addresses":        {"ADD http://0.0.0.0:" + port + "/secret /", "leads to this machine"},
		"a redirect":           {"ADD http://" + away + "/ /file", "leads to this machine"},
		"the cloud's metadata": {"ADD http://169.254.169.254/latest/meta-data/ /file", "leads to this machine"},
		"a Git repository":     {"ADD http://127.0.0.1:" + port + "/secret.git /", "adds a Git repository by its URL"},
		"Git's own protocol":   {"ADD git://127.0.0.1:" + port + "/secret.git /", "adds a Git repository by its URL"},
		"by SSH":               {"ADD git@127.0.0.1:secret.git /", "adds a Git repository by its URL"},
		"an image":             {"COPY --from=127.0.0.1:" + port + "/secret /secret /", "of a registry on this machine"},
		"an image by name":     {"COPY --from=localhost:" + port + "/secret /secret /", "of a registry on this machine"},
		"another frontend":     {"", "asks for the frontend"},
	} {
		t.Run(name, func(t *testing.T) {
			text := "FROM apron.local/python311\n" + test.line + "\nCMD [\"true\"]\n"
			if test.line == "" {
				text = "# syntax=127.0.0.1:" + port + "/frontend\n" + text
			}
			_, err := w.try(t, dockerfile(t, text))
			if explained := platform.AsExplained(err); explained == nil || !strings.Contains(explained.Cause, test.want) {
				t.Errorf("the build: %v, want %q", err, test.want)
			}
		})
	}
	if asked {
		t.Error("the server on loopback was asked")
	}
}
