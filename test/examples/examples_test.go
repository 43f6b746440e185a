package examples

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/test/apron"
)

// parallel is how many examples are deployed at a time. A deployment waits a good part of its time.
const parallel = "3"

// example is an app of examples/. The first line of File that holds Greeting is what the app answers.
type example struct {
	Folder, File, Greeting string
	// Others are the runtimes that the app runs on besides that of its apprunner.yaml.
	Others []string
}

var all = []example{
	{"hello-python", "app.py", "Hello from Python", []string{"python3", "python313"}},
	{"hello-node", "server.js", "Hello from Node.js", []string{"nodejs18", "nodejs20", "nodejs24", "nodejs26"}},
	{"hello-node16", "server.js", "Hello from an older Node.js", []string{"nodejs12", "nodejs14"}},
	{"hello-go", "main.go", "Hello from Go", nil},
	{"hello-java", "src/hello/Main.java", "Hello from Java", []string{"corretto8", "java17", "java21", "java25"}},
	{"hello-ruby", "app.rb", "Hello from Ruby", []string{"ruby33"}},
	{"hello-php", "src/Greeting.php", "Hello from PHP", []string{"php82"}},
	{"hello-static", "pages/index.md", "Hello from a static site", nil},
	{"hello-dockerfile", "main.go", "Hello from a Dockerfile", nil},
}

func TestMain(m *testing.M) {
	flag.Set("test.parallel", parallel)
	os.Exit(m.Run())
}

func TestEveryExampleIsDeployedTwice(t *testing.T) {
	a := apron.Start(t)
	runtimes, err := catalogue.Default()
	if err != nil {
		t.Fatal(err)
	}
	var times table
	t.Run("examples", func(t *testing.T) {
		for _, each := range all {
			deployTwice(t, a, &times, each, "", nil)
			if os.Getenv("APRON_EXAMPLES") != "all" {
				continue
			}
			for _, other := range each.Others {
				runtime, ok := runtimes.ByName(other)
				if !ok {
					t.Fatalf("there is no runtime %s for %s", other, each.Folder)
				}
				deployTwice(t, a, &times, each, other, runtime.Tools)
			}
		}
	})
	t.Logf("from the folder to the answer:\n%s", &times)
}

// deployTwice deploys a copy of the example on a runtime, "" for its own, and deletes the service.
func deployTwice(t *testing.T, a *apron.Apron, times *table, each example, runtime string, tools []string) {
	name := strings.TrimSuffix(each.Folder+"-"+runtime, "-")
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), name)
		if err := os.CopyFS(dir, os.DirFS(filepath.Join("../../examples", each.Folder))); err != nil {
			t.Fatal(err)
		}
		if runtime != "" {
			change(t, filepath.Join(dir, "apprunner.yaml"), func(text string) string {
				text = regexp.MustCompile(`(?m)^runtime: .*$`).ReplaceAllLiteralString(text, "runtime: "+runtime)
				return strings.Replace(text, "  commands:\n", "  commands:\n    pre-build: ["+looks(tools)+"]\n", 1)
			})
		}
		first := deploy(t, a, dir, each.Greeting)
		changed := strings.Replace(each.Greeting, "Hello", "Hello again", 1)
		change(t, filepath.Join(dir, each.File), func(text string) string { return strings.Replace(text, each.Greeting, changed, 1) })
		second := deploy(t, a, dir, changed)
		a.MustCommand(t, "delete", name)
		times.add(fmt.Sprintf("%s\t%.1f s\t%.1f s", name, first.Seconds(), second.Seconds()))
	})
}

// looks is a list of commands that fail where a tool is missing.
func looks(tools []string) string {
	var commands []string
	for _, tool := range tools {
		commands = append(commands, "command -v "+tool)
	}
	return strings.Join(commands, ", ")
}

func change(t *testing.T, path string, edit func(string) string) {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	after := edit(string(before))
	if after == string(before) {
		t.Fatalf("nothing to change in %s", path)
	}
	if err := os.WriteFile(path, []byte(after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// deploy runs `apron deploy`, wants the answer to hold text, and returns how long it took to have it.
func deploy(t *testing.T, a *apron.Apron, dir, text string) time.Duration {
	t.Helper()
	began := time.Now()
	printed := a.MustCommand(t, "deploy", dir, "--output", "json")
	var deployed struct{ PlainURL string }
	if err := json.Unmarshal([]byte(printed), &deployed); err != nil {
		t.Fatalf("apron deploy --output json prints %q: %v", printed, err)
	}
	answer := a.Get(t, strings.TrimPrefix(deployed.PlainURL, "http://"), "/")
	if answer.Status != http.StatusOK || !strings.Contains(answer.Body, text) {
		t.Fatalf("the app answers %d %q, want %q", answer.Status, answer.Body, text)
	}
	return time.Since(began)
}

// table collects lines of examples that end at any time.
type table struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (t *table) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, line)
}

func (t *table) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var text strings.Builder
	writer := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	fmt.Fprintln(writer, "example\tfirst time\tone line changed")
	for _, line := range t.lines {
		fmt.Fprintln(writer, line)
	}
	writer.Flush()
	return text.String()
}
