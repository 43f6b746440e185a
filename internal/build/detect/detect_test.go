package detect

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/build/appfile"
	"github.com/apron-run/apron/internal/platform"
)

var update = flag.Bool("update", false, "write what is detected into the golden files")

// runtimes are those that the tests know: the detection itself knows none.
var runtimes = []Runtime{
	{"corretto8", "1.8.0"}, {"corretto11", "11.0.2"}, {"dotnet6", "6.0"}, {"go1", "1.27.4"}, {"java17", "17.0.1"}, {"java21", "21.0.1"},
	{"nodejs16", "16.20.2"}, {"nodejs18", "18.20.8"}, {"nodejs20", "20.19.0"}, {"nodejs22", "22.23.3"}, {"nodejs24", "24.1.0"}, {"nodejs25", "25.0.0"},
	{"php81", "8.1.2"}, {"php82", "8.2.1"}, {"php84", "8.4.1"}, {"python311", "3.11"}, {"python313", "3.13.5"}, {"ruby31", "3.1.2"}, {"ruby33", "3.3.8"}, {"static", "1"},
}

// sections of a golden file begin with a line "-- NAME --"; the last has no file's name but is what is wanted.
var section = regexp.MustCompile(`(?m)^-- (.+) --\n`)

const wantedSection = "WANT"

func readGolden(t *testing.T, name string) (files fstest.MapFS, want, input string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	files = fstest.MapFS{}
	marks := section.FindAllStringSubmatchIndex(text, -1)
	for i, mark := range marks {
		end := len(text)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		title, body := text[mark[2]:mark[3]], text[mark[1]:end]
		if title == wantedSection {
			return files, body, text[:mark[0]]
		}
		files[title] = &fstest.MapFile{Data: []byte(body), Mode: 0o644}
	}
	return files, "", text
}

// told is all that a user gets to see.
func told(found Detection, err error) string {
	var b strings.Builder
	if err != nil {
		b.WriteString("error: " + err.Error() + "\n")
		return b.String()
	}
	b.WriteString("# " + found.Kind + "\n")
	for _, notice := range found.Notices {
		b.WriteString("# notice: " + notice + "\n")
	}
	return b.String() + found.Text
}

func TestWhatIsDetected(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(names) < 30 {
		t.Fatalf("%d golden files: %v", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			files, want, input := readGolden(t, name)
			found, err := Detect(files, Options{Runtimes: runtimes})
			if explained := platform.AsExplained(err); err != nil && (explained == nil || explained.Remedy == "") {
				t.Errorf("an error without a remedy: %v", err)
			}
			got := told(found, err)
			if *update {
				if err := os.WriteFile(name, []byte(input+"-- "+wantedSection+" --\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err == nil && !found.IsDockerfile {
				mustRead(t, found)
			}
		})
	}
}

// mustRead reads the text as the build does.
func mustRead(t *testing.T, found Detection) appfile.File {
	t.Helper()
	file, err := appfile.Read([]byte(found.Text))
	if err != nil {
		t.Fatalf("the text is not read: %v\n%s", err, found.Text)
	}
	if file.Port != port || file.PortVariable != "PORT" || file.Command == "" || len(file.Build) == 0 {
		t.Errorf("the text is read as %+v", file)
	}
	return file
}

func TestAGivenStartCommandNeedNotBeFound(t *testing.T) {
	found, err := Detect(fstest.MapFS{"requirements.txt": {Data: []byte("celery\n")}}, Options{Runtimes: runtimes, Start: "celery worker"})
	if err != nil {
		t.Fatal(err)
	}
	if file := mustRead(t, found); file.Command != "celery worker" {
		t.Errorf("it starts %q", file.Command)
	}
}

func TestASiteNeedsNoRuntimeForSites(t *testing.T) {
	found, err := Detect(fstest.MapFS{"public/index.html": {}}, Options{Runtimes: []Runtime{{"nodejs22", "22.1.0"}}})
	if err != nil {
		t.Fatal(err)
	}
	if file := mustRead(t, found); file.Runtime != "nodejs22" || !strings.HasPrefix(file.Command, "serve ") || !strings.HasSuffix(file.Command, " public") {
		t.Errorf("it is built as %+v", file)
	}
}

func TestWithoutARuntimeOfTheLanguageNothingIsMade(t *testing.T) {
	_, err := Detect(fstest.MapFS{"Gemfile": {}, "config.ru": {}}, Options{Runtimes: runtimes[:3]})
	if explained := platform.AsExplained(err); explained == nil || !strings.Contains(err.Error(), "no runtime of Ruby") {
		t.Errorf("the error is %v", err)
	}
}

func TestAVersionIsFoundByWhatTheRepositoryAsksFor(t *testing.T) {
	for language, cases := range map[string]map[string]string{
		"Node.js": {
			"": "nodejs24", ">=18": "nodejs24", "^20.0.0": "nodejs20", "20.x": "nodejs20", "v18.17.0": "nodejs18", "18 || 20": "nodejs20",
			">=18 <21": "nodejs20", ">= 18.0.0 < 21.0.0": "nodejs20", "18 - 20": "nodejs20", "lts/*": "nodejs24", "lts/jod": "nodejs22", "~22.3": "nodejs22",
			">20": "nodejs24", "<=22": "nodejs22", "25": "nodejs25", "16.13.x": "nodejs16", "*": "nodejs24", "22": "nodejs22", ">=16.9 <=18.20": "nodejs18",
			"12": "nodejs16 !", "30": "nodejs24 !", "whatever": "nodejs24 !", ">=20, <22": "nodejs20", "=20.1.0": "nodejs20",
		},
		"Python": {
			"3.11.4": "python311", ">=3.8": "python313", ">=3.10,<3.13": "python311", "^3.11": "python313", "~3.11": "python311", "3": "python313",
			"~=3.11.0": "python311", "~=3.10": "python313", "==3.11.*": "python311", ">3": "python313", "3.9": "python311 !", "!=3.13.*,>=3.9": "python311",
		},
		"Java": {"17": "java17", "1.8": "corretto8", "11": "corretto11", "16": "java17 !", "": "java21"},
		"Ruby": {"3.1.0": "ruby31", "~> 3.1.2": "ruby31", "~> 3.1": "ruby33", ">= 3.0": "ruby33", "2.7.8": "ruby31 !"},
		"PHP":  {"^8.1": "php84", "~8.1.0": "php81", "~8.1": "php84", "8.2.*": "php82", "^7.4 || ^8.0": "php84", ">=7.2 <8.3": "php82"},
	} {
		for text, want := range cases {
			name, why, notice := choose(runtimes, language, wanted{text, "file"})
			if got := name + map[bool]string{true: " !"}[notice != ""]; got != want || why == "" {
				t.Errorf("%s %q is read as %s (%s; %s), want %s", language, text, got, why, notice, want)
			}
		}
	}
}

func TestOnlySoMuchIsRead(t *testing.T) {
	files := fstest.MapFS{"package.json": {Data: []byte(strings.Repeat(" ", maxFile+1))}}
	if _, err := Detect(files, Options{Runtimes: runtimes}); err == nil || !strings.Contains(err.Error(), "package.json has more than") {
		t.Errorf("a huge file: %v", err)
	}
	long := strings.Repeat("# a comment\n", maxFile/8)
	files = fstest.MapFS{
		"package.json": {Data: []byte(`{"scripts":{"start":"node a.js"}}`)}, "pnpm-lock.yaml": {Data: []byte("lockfileVersion: '6.0'\n" + long)},
	}
	if found, err := Detect(files, Options{Runtimes: runtimes}); err != nil || !strings.Contains(found.Text, "pnpm@8") {
		t.Errorf("a long lock file: %v\n%s", err, found.Text)
	}
	many := fstest.MapFS{"go.mod": {Data: []byte("module a\n")}}
	for i := range 3 * maxEntries {
		many["cmd/"+strconv.Itoa(i)+"/main.go"] = &fstest.MapFile{Data: []byte("package main\n")}
	}
	if _, err := Detect(many, Options{Runtimes: runtimes}); err == nil || len(err.Error()) > 1<<16 {
		t.Errorf("many folders: %.100v", err)
	}
}

// A link that leaves the repository, and what is no regular file, is as if it were not there.
func TestNothingOutsideOfTheRepositoryIsRead(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "package.json"), []byte(`{"scripts":{"start":"stolen"}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"package.json": filepath.Join(outside, "package.json"), "cmd": outside, "index.html": "index.html"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if found, err := Detect(root.FS(), Options{Runtimes: runtimes}); err == nil || !strings.Contains(err.Error(), "nothing says what app this is") {
		t.Errorf("it found %+v (%v)", found, err)
	}
}

// Whatever the files of a repository hold, the text is one that the build reads, with the commands as they were meant.
func FuzzDetect(f *testing.F) {
	seeds := []string{"package.json", "pyproject.toml", "Procfile", "requirements.txt", "go.mod", "Pipfile", "Gemfile", "composer.json", "pom.xml", ".nvmrc"}
	f.Add(uint8(0), `{"scripts":{"start":"node a.js","build":"x"},"engines":{"node":">=20"},"packageManager":"pnpm@9.1.0"}`, "web: a: 'b' # $PORT\n")
	f.Add(uint8(1), "[project]\nrequires-python='>=3.9'\ndependencies=['fastapi[standard]']\n[tool.poetry.dependencies]\nflask={version='1'}\n", "web: \"x\"\n")
	f.Add(uint8(2), "worker: x\n", "web:\ty\x00\n")
	f.Add(uint8(9), "lts/iron", "")
	f.Fuzz(func(t *testing.T, which uint8, text, procfile string) {
		files := fstest.MapFS{
			"main.py": {Data: []byte("app = Flask(__name__)\n")}, "server.js": {Data: []byte("x")},
			seeds[int(which)%len(seeds)]: {Data: []byte(text)}, "Procfile": {Data: []byte(procfile)},
		}
		if !slices.Contains([]string{"requirements.txt", "pyproject.toml", "Pipfile"}, seeds[int(which)%len(seeds)]) {
			delete(files, "main.py")
		}
		found, err := Detect(files, Options{Runtimes: runtimes})
		if err != nil {
			if platform.AsExplained(err) == nil {
				t.Fatalf("the error is not explained: %v", err)
			}
			return
		}
		file, err := appfile.Read([]byte(found.Text))
		if err != nil {
			t.Fatalf("%v\n%s", err, found.Text)
		}
		for line := range strings.Lines(procfile) {
			if start, isWeb := strings.CutPrefix(line, "web: "); isWeb && strings.Count(procfile, "web") == 1 && oneLine(start) != "" && file.Command != oneLine(start) {
				t.Errorf("the start command %q is read as %q\n%s", start, file.Command, found.Text)
			}
		}
	})
}
