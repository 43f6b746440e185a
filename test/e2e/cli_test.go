package e2e

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apron-run/apron/test/sample"
)

// The story of a folder that is brought live without a commit, told by apron's own command line.
func TestStoryFromAFolder(t *testing.T) {
	t.Parallel()
	a := shared(t)
	folder := t.TempDir()
	write(t, folder, sample.PythonApp("one"))
	write(t, folder, map[string]string{".gitignore": "secret.txt\n", "secret.txt": "not for others"})

	printed := a.MustCommand(t, "deploy", folder, "--name", "folder", "--cpu", "0.25", "--memory", "0.5")
	if !strings.Contains(printed, "folder is live at https://") {
		t.Errorf("apron deploy prints %q", printed)
	}
	var services []struct{ ServiceName, ServiceUrl, ServiceArn, Status string }
	a.CommandJSON(t, &services, "services")
	at := slices.IndexFunc(services, func(s struct{ ServiceName, ServiceUrl, ServiceArn, Status string }) bool {
		return s.ServiceName == "folder"
	})
	if at < 0 || services[at].Status != "RUNNING" {
		t.Fatalf("apron services tells %+v", services)
	}
	url := services[at].ServiceUrl
	a.WantBody(t, url, "/", "one")
	a.WantBody(t, url, "/env?GREETING", "from the file")
	opened, err := clientByHTTPS(t, a)().Get(strings.TrimSpace(a.MustCommand(t, "open", "folder")) + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Body.Close()
	if body, err := io.ReadAll(opened.Body); string(body) != "one" {
		t.Errorf("what apron open prints answers %q (%v)", body, err)
	}

	write(t, folder, sample.PythonApp("two"))
	a.MustCommand(t, "deploy", folder, "--name", "folder")
	a.WantBody(t, url, "/", "two")

	write(t, folder, map[string]string{"broken.py": "def broken(:\n"})
	outcome := a.Command(t, "deploy", folder, "--name", "folder")
	if told := outcome.Out + outcome.Err; outcome.Code != 1 || !strings.Contains(told, "SyntaxError") || !strings.Contains(told, "compileall") {
		t.Errorf("a deployment that fails ends with %d and tells:\n%s", outcome.Code, told)
	}
	a.WantBody(t, url, "/", "two")

	if logs := a.MustCommand(t, "logs", "folder"); !strings.Contains(logs, "version two begins") {
		t.Errorf("apron logs prints %q", logs)
	}
	if logs := a.MustCommand(t, "logs", "folder", "--build"); !strings.Contains(logs, "SyntaxError") {
		t.Errorf("apron logs --build prints %q", logs)
	}
	for line := range strings.Lines(a.MustCommand(t, "logs", "folder", "--output", "json")) {
		var one struct{ Message string }
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Errorf("apron logs --output json prints %q: %v", line, err)
		}
	}
	if all := a.MustCommand(t, "services"); !strings.Contains(all, "folder") || !strings.Contains(all, "RUNNING") {
		t.Errorf("apron services prints %q", all)
	}
	if one := a.MustCommand(t, "service", "folder"); !strings.Contains(one, url) {
		t.Errorf("apron service prints %q", one)
	}
	instances := a.MustCommand(t, "service", "folder", "--output", "json")
	if !json.Valid([]byte(instances)) {
		t.Errorf("apron service --output json prints %q", instances)
	}
	a.MustCommand(t, "pause", "folder")
	if answer := a.Get(t, url, "/"); answer.Status != 503 {
		t.Errorf("after apron pause the service answers %d", answer.Status)
	}
	a.MustCommand(t, "resume", "folder")
	a.WantBody(t, url, "/", "two")
	a.MustCommand(t, "delete", "folder")
	if answer := a.Get(t, url, "/"); answer.Status != 404 {
		t.Errorf("after apron delete the service answers %d", answer.Status)
	}
}

func TestTheCommandLineSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	a := shared(t)
	for name, c := range map[string]struct {
		arguments []string
		code      int
		want      string
	}{
		"no such service":  {[]string{"service", "nobody"}, 1, "no such service"},
		"no such command":  {[]string{"deplyo"}, 2, "deploy"},
		"no such flag":     {[]string{"deploy", "--fast"}, 2, "--fast"},
		"no such folder":   {[]string{"deploy", "/nowhere"}, 2, "/nowhere"},
		"no build to take": {[]string{"deploy", t.TempDir(), "--name", "empty"}, 1, ""},
	} {
		outcome := a.Command(t, c.arguments...)
		if outcome.Code != c.code || !strings.Contains(outcome.Err, c.want) || outcome.Err == "" {
			t.Errorf("%s: ends with %d and tells %q", name, outcome.Code, outcome.Err)
		}
	}
}

func write(t *testing.T, folder string, files map[string]string) {
	t.Helper()
	for path, content := range files {
		if err := os.WriteFile(filepath.Join(folder, path), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
