package appfile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/apron-run/apron/internal/build/appfile"
	"github.com/apron-run/apron/internal/platform"
)

// minimal is the least that is a whole file; tests put their own lines into it.
const minimal = `version: 1.0
runtime: python311
build:
  commands:
    build:
      - true
run:
  command: python3 app.py
`

func read(t *testing.T, text string) appfile.File {
	t.Helper()
	file, err := appfile.Read([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return file
}

func TestAWholeFileIsRead(t *testing.T) {
	got := read(t, `---
version: 1.0
runtime: nodejs22
build:
  commands:
    pre-build:
    - echo "before $HOME"
    build:
     - npm ci
     # between
     - npm run build -- --mode=${MODE}
    post-build:
      - rm -rf .cache
  env:
    - name: MODE
      value: production
run:
  runtime-version: 22.10
  pre-run:
    - npm prune
  command: node server.js
  network:
    port: 3000
    env: APP_PORT
  env:
    - name: EMPTY
      value: ""
    - name: NUMBER
      value: 010
    - name: RAW
      value: ${NOT} $(expanded) 100%!
    - name: GRÜẞE
      value: schön
  secrets:
    - name: PASSWORD
      value-from: arn:aws:secretsmanager:us-east-1:000000000000:secret:db`)
	want := appfile.File{
		Runtime: "nodejs22", RuntimeAt: appfile.Position{Line: 3, Column: 10},
		RuntimeVersion: "22.10", RuntimeVersionAt: appfile.Position{Line: 18, Column: 20},
		BuildAt:  appfile.Position{Line: 9, Column: 6},
		PreBuild: []string{`echo "before $HOME"`}, Build: []string{"npm ci", "npm run build -- --mode=${MODE}"}, PostBuild: []string{"rm -rf .cache"},
		BuildEnvironment: []appfile.Variable{{Name: "MODE", Value: "production"}},
		PreRun:           []string{"npm prune"}, Command: "node server.js", Port: 3000, PortVariable: "APP_PORT",
		Environment: []appfile.Variable{
			{Name: "EMPTY"}, {Name: "NUMBER", Value: "010"}, {Name: "RAW", Value: "${NOT} $(expanded) 100%!"}, {Name: "GRÜẞE", Value: "schön"},
		},
		Secrets: []appfile.Variable{{Name: "PASSWORD", Value: "arn:aws:secretsmanager:us-east-1:000000000000:secret:db"}},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(appfile.File{}, "Warnings")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatIsLeftOutHasAppRunnersDefault(t *testing.T) {
	if got := read(t, minimal); got.Port != 8080 || got.PortVariable != "" || len(got.Environment) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestWindowsTextIsReadAlike(t *testing.T) {
	want := read(t, minimal)
	for name, text := range map[string]string{
		"a byte order mark":                "\ufeff" + minimal,
		"CRLF":                             strings.ReplaceAll(minimal, "\n", "\r\n"),
		"both":                             "\ufeff" + strings.ReplaceAll(minimal, "\n", "\r\n"),
		"no end of the last line":          strings.TrimSpace(minimal),
		"a tab behind a value":             strings.Replace(minimal, "python311\n", "python311\t\n", 1),
		"an empty document behind":         minimal + "---\n",
		"an end of the document, and text": minimal + "...\n# done\n",
	} {
		if diff := cmp.Diff(want, read(t, text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestVersionsKeepTheirText(t *testing.T) {
	for text, want := range map[string]string{"3.10": "3.10", "20": "20", `"3.11"`: "3.11", "3.8.16": "3.8.16", "'18'": "18", "": ""} {
		if got := read(t, minimal+"  runtime-version: "+text+"\n").RuntimeVersion; got != want {
			t.Errorf("runtime-version: %s is read as %q, want %q", text, got, want)
		}
	}
}

// replaced is minimal with a piece replaced, which must be there.
func replaced(t *testing.T, old, new string) string {
	t.Helper()
	if !strings.Contains(minimal, old) {
		t.Fatalf("%q is not in the minimal file", old)
	}
	return strings.Replace(minimal, old, new, 1)
}

func TestWhatIsWrongIsNamedWithItsPlace(t *testing.T) {
	run := func(lines string) string { return minimal + lines }
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"empty":                        {"", []string{"is empty"}},
		"only comments":                {"# nothing\n", []string{"is empty"}},
		"not YAML":                     {"version: 1.0\nruntime: [python311\nbuild:\n", []string{"line 3", "column", "YAML is broken"}},
		"a tab for indentation":        {"version: 1.0\nbuild:\n\tcommands: x\n", []string{"line 3, column 1", "tab", "spaces"}},
		"two documents":                {minimal + "---\n" + minimal, []string{"line 10", "second document"}},
		"no UTF-8":                     {"version: 1.0\nruntime: \xff\n", []string{"line 2, column 10", "UTF-8"}},
		"UTF-16":                       {"\xff\xfev\x00", []string{"line 1, column 1", "UTF-16"}},
		"a control character":          {"version: 1.0\nruntime: a\x1b\n", []string{"line 2, column 11", "U+001B"}},
		"an anchor to nowhere":         {"version: 1.0\nruntime: *python\n", []string{"line 2, column 10", "unknown anchor"}},
		"a tag of CloudFormation":      {replaced(t, "true", "!Ref Command"), []string{"line 6, column 9", `"!Ref" has no meaning`}},
		"a version of another format":  {replaced(t, "1.0", "3.11"), []string{"line 1, column 10", "run.runtime-version"}},
		"a list at the top":            {"- version: 1.0\n", []string{"line 1, column 1", "must be a mapping", "not a list"}},
		"no build":                     {"version: 1.0\nruntime: go1\nrun:\n  command: ./app\n", []string{"build.commands.build is missing"}},
		"no run":                       {replaced(t, "run:\n  command: python3 app.py\n", ""), []string{"run.command is missing"}},
		"a command read as a mapping":  {replaced(t, "- true", "- echo key: value"), []string{"line 6, column 9", "quotes"}},
		"no start command":             {replaced(t, "command: python3 app.py", "network:\n    port: 80"), []string{"run.command is missing"}},
		"an empty start command":       {replaced(t, "command: python3 app.py", `command: " "`), []string{"line 8", "run.command is empty"}},
		"a port that is a variable":    {run("  network:\n    port: $PORT\n"), []string{"line 10, column 11", "1 to 65535", `"$PORT"`}},
		"a port out of bounds":         {run("  network:\n    port: 70000\n"), []string{"line 10", "1 to 65535"}},
		"a variable without a name":    {run("  env:\n    - value: x\n"), []string{"line 10", "entry 1 of run.env has no name"}},
		"a variable without a value":   {run("  env:\n    - name: X\n"), []string{"line 10", `"X"`, "has no value"}},
		"a secret without a reference": {run("  secrets:\n    - name: X\n      value-from:\n"), []string{"line 11", "no value-from"}},
		"a key twice":                  {run("  command: again\n"), []string{"line 9, column 3", "twice"}},
		"a merge key":                  {run("  <<: *x\n"), []string{"line 9"}},
		"the input of CreateService":   {"ServiceName: x\nSourceConfiguration:\n  CodeRepository: {}\n", []string{"input of CreateService"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := appfile.Read([]byte(c.text))
			explained := platform.AsExplained(err)
			if explained == nil {
				t.Fatalf("the error is %v, want one that explains\n%s", err, c.text)
			}
			said := strings.Join(append([]string{explained.Error()}, explained.Evidence...), "\n")
			for _, want := range c.want {
				if !strings.Contains(said, want) {
					t.Errorf("it does not say %q:\n%s", want, said)
				}
			}
		})
	}
}

func TestAllThatIsWrongIsToldAtOnce(t *testing.T) {
	_, err := appfile.Read([]byte("version: 2\nbuild:\n  commands:\n    build: {x: y, z: y}\nrun:\n  network:\n    port: 0\n"))
	explained := platform.AsExplained(err)
	if explained == nil || len(explained.Evidence) != 3 {
		t.Fatalf("want four problems, got %v, %q", err, explained)
	}
}

func TestValuesOfVariablesAreNeverTold(t *testing.T) {
	for _, lines := range []string{
		"  env:\n    - name: X\n      value: [hunter2]\n",
		"  env:\n    - name: X\n      value: hunter2\n      valu: hunter2\n",
		"  env:\n    X: hunter2\n",
		"  env:\n    - X=hunter2\n",
		"  env:\n    - X: hunter2\n",
		"  env:\n    - name: X\n      value: ${hunter2}\n",
		"  env:\n    - name: PORT\n      value: hunter2\n",
		"  network:\n    env:\n      X: hunter2\n",
		"  secrets:\n    X: hunter2\n",
		"  secrets:\n    - name: X\n      value: hunter2\n",
	} {
		file, err := appfile.Read([]byte(minimal + lines))
		said := fmt.Sprint(file.Warnings)
		if explained := platform.AsExplained(err); explained != nil {
			said += explained.Error() + strings.Join(explained.Evidence, "\n")
		}
		if said == "" || strings.Contains(said, "hunter2") {
			t.Errorf("%s says %q", lines, said)
		}
	}
}

func TestHugeAndNestedFilesAreRefusedSoon(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for i := 'b'; i <= 'k'; i++ {
		bomb += string(i) + ": &" + string(i) + " [" + strings.TrimSuffix(strings.Repeat("*"+string(i-1)+",", 9), ",") + "]\n"
	}
	for name, text := range map[string]string{
		"too many bytes":      minimal + "#" + strings.Repeat("x", appfile.MaxBytes),
		"deep lists":          "version: " + strings.Repeat("[", 100_000),
		"deep mappings":       "version: " + strings.Repeat("{a: ", 50_000),
		"a bomb":              bomb,
		"a loop of alias":     "version: &a [*a]\nruntime: *a\n",
		"variables in a loop": minimal + "  env: &a {variables: *a}\n",
		"a long text often":   "a: &a " + strings.Repeat("x", 100_000) + "\n" + strings.Replace(minimal, "- true", strings.Repeat("- *a\n      ", 900), 1),
		"many entries":        "a: &a {" + strings.Repeat("name,", 20_000) + "}\n" + minimal + "  env: [" + strings.Repeat("*a,", 20_000) + "]\n",
		"large entries":       "a: &a {" + many("name%d: x, ", 10_000) + "}\n" + minimal + "  env: [" + strings.Repeat("*a,", 900) + "]\n",
		"many keys":           minimal + many("k%d: x\n", 20_000),
	} {
		began := time.Now()
		if _, err := appfile.Read([]byte(text)); platform.AsExplained(err) == nil {
			t.Errorf("%s: the error is %v, want one that explains", name, err)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("%s: reading took %v", name, took)
		}
	}
}

// many repeats a format with a number that grows.
func many(format string, times int) string {
	var text strings.Builder
	for i := range times {
		fmt.Fprintf(&text, format, i)
	}
	return text.String()
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte("a: &a [*a]\n? [x]: y\n<<: {}\n"))
	f.Add([]byte("version: !!binary x\nrun: !!set {a, b}\n"))
	forms, err := filepath.Glob(filepath.Join("..", "testdata", "forms", "*.txt"))
	if err != nil || len(forms) == 0 {
		f.Fatalf("there are no forms (%v)", err)
	}
	for _, form := range forms {
		data, err := os.ReadFile(form)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		endless := time.AfterFunc(10*time.Second, func() { panic(fmt.Sprintf("reading does not end: %q", data)) })
		defer endless.Stop()
		file, err := appfile.Read(data)
		if err != nil && platform.AsExplained(err) == nil {
			t.Errorf("the error does not explain: %v", err)
		}
		if err == nil && (file.Command == "" || len(file.Build) == 0 && len(file.Warnings) == 0 || file.Port < 1 || file.Port > 65535) {
			t.Errorf("half a file is accepted: %+v", file)
		}
		for _, remark := range file.Warnings {
			if remark.At.Line < 1 || remark.At.Column < 1 || remark.Text == "" || !utf8.ValidString(remark.Text) {
				t.Errorf("a warning without its place or text: %+v", remark)
			}
		}
	})
}
