package build

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/build/appfile"
	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/build/host"
	"github.com/apron-run/apron/internal/build/recipe"
	"github.com/apron-run/apron/internal/platform"
)

var update = flag.Bool("update", false, "write the lower half of the files below testdata/forms anew")

// planLine parts the file of a form: an apprunner.yaml above, what becomes of it below.
const planLine = "-- plan --\n"

// testRuntimes is a catalogue with gaps: it lacks nodejs20, python310 and python312.
func testRuntimes(t testing.TB) *catalogue.Catalogue {
	t.Helper()
	runtimes, err := catalogue.Default()
	if err != nil {
		t.Fatal(err)
	}
	return runtimes
}

func TestEachFormOfTheFileBecomesItsPlan(t *testing.T) {
	forms, err := filepath.Glob(filepath.Join("testdata", "forms", "*.txt"))
	if err != nil || len(forms) < 15 {
		t.Fatalf("there are %d forms (%v)", len(forms), err)
	}
	runtimes := testRuntimes(t)
	for _, form := range forms {
		t.Run(strings.TrimSuffix(filepath.Base(form), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(form)
			if err != nil {
				t.Fatal(err)
			}
			input, want, _ := strings.Cut(string(data), planLine)
			got := outcomeOf(t, runtimes, input)
			if *update {
				if err := os.WriteFile(form, []byte(input+planLine+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got; -update writes what is right now):\n%s", diff)
			}
		})
	}
}

// outcomeOf plans a build by a file and writes down everything that the build would be, or the error. The file's comments
// "#: directory DIR", "#: tag RUNTIME" say what the service has besides.
func outcomeOf(t testing.TB, runtimes *catalogue.Catalogue, input string) string {
	t.Helper()
	directory, tag := ".", ""
	for line := range strings.Lines(input) {
		if text, found := strings.CutPrefix(line, "#: directory "); found {
			directory = strings.TrimSpace(text)
		}
		if text, found := strings.CutPrefix(line, "#: tag "); found {
			tag = strings.TrimSpace(text)
		}
	}
	plan, err := planFromText(runtimes, directory, input, tag)
	if explained := platform.AsExplained(err); explained != nil {
		return "error: " + explained.Cause + "\n" + lines("and: ", explained.Evidence) + "remedy: " + explained.Remedy + "\n"
	}
	if err != nil {
		t.Fatalf("the error does not explain: %v", err)
	}
	return describe(runtimes, plan)
}

func planFromText(runtimes *catalogue.Catalogue, directory, input, tag string) (Plan, error) {
	file, err := appfile.Read([]byte(input))
	if err != nil {
		return Plan{}, err
	}
	return planFromFile(runtimes, directory, file, tag)
}

// describe writes a plan down, with what the image's configuration and the steps of BuildKit are made of.
func describe(runtimes *catalogue.Catalogue, plan Plan) string {
	runtime, _ := runtimes.ByName(plan.Runtime)
	var text strings.Builder
	fmt.Fprintf(&text, "runtime: %s %s\n", runtime.Name, runtime.Version)
	early := findEarly(plan, folder{files: fstest.MapFS{}, directory: "."})
	path := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"} // of recipes
	images := recipe.Images{BuildEnvironment: path, RunEnvironment: path}
	steps := assembly{plan: plan, early: early, runtime: runtime, images: images, host: host.Settings{}}
	for _, phase := range []Phase{PhasePreBuild, PhaseBuild, PhasePreRun, PhasePostBuild} {
		commands := plan.Commands[phase]
		if len(commands) == 0 {
			continue
		}
		image, mounts := "build image", append([]string{appDir, localDir}, runtime.Caches...)
		if phase == PhasePreRun {
			image, mounts = "run image", runtime.Caches
		}
		fmt.Fprintf(&text, "stage %s, on the %s, in %s, mounts %v:\n", phase.key(), image, plan.WorkDir, mounts)
		for _, command := range commands {
			fmt.Fprintf(&text, "  + %s\n", strings.ReplaceAll(strings.TrimSuffix(command, "\n"), "\n", "\n    "))
		}
		if phase == PhasePostBuild {
			text.WriteString("  what it changes is thrown away\n")
		}
	}
	if len(plan.Commands) > 0 {
		text.WriteString("environment of the stages:\n")
		for _, variable := range steps.environment(PhaseBuild) {
			fmt.Fprintf(&text, "  %s=%s\n", variable[0], variable[1])
		}
	}
	config := imageConfig(plan, runtime, images).Config
	fmt.Fprintf(&text, "image: Cmd %q, WorkingDir %s, Env %q, ExposedPorts %v\n", config.Cmd, config.WorkingDir, config.Env,
		slices.Sorted(maps.Keys(config.ExposedPorts)))
	process := plan.Process
	fmt.Fprintf(&text, "process: %q, port %d", process.Command, process.Port)
	if process.PortVariable != "" {
		fmt.Fprintf(&text, ", also told as %s", process.PortVariable)
	}
	text.WriteString("\n")
	for _, name := range slices.Sorted(maps.Keys(process.Environment)) {
		fmt.Fprintf(&text, "  %s=%s\n", name, process.Environment[name])
	}
	for _, name := range slices.Sorted(maps.Keys(process.Secrets)) {
		fmt.Fprintf(&text, "  %s from %s\n", name, process.Secrets[name])
	}
	for _, warning := range plan.Warnings {
		fmt.Fprintf(&text, "warning: %s\n", warning)
	}
	return text.String()
}

func lines(prefix string, of []string) string {
	var text strings.Builder
	for _, line := range of {
		text.WriteString(prefix + line + "\n")
	}
	return text.String()
}

func FuzzPlan(f *testing.F) {
	forms, err := filepath.Glob(filepath.Join("testdata", "forms", "*.txt"))
	if err != nil || len(forms) == 0 {
		f.Fatalf("there are no forms (%v)", err)
	}
	for _, form := range forms {
		data, err := os.ReadFile(form)
		if err != nil {
			f.Fatal(err)
		}
		input, _, _ := strings.Cut(string(data), planLine)
		f.Add(input, "")
	}
	f.Add("runtime: java\n", "nodejs24")
	runtimes := testRuntimes(f)
	f.Fuzz(func(t *testing.T, input, tag string) {
		plan, err := planFromText(runtimes, ".", input, tag)
		if err != nil {
			if platform.AsExplained(err) == nil {
				t.Errorf("the error does not explain: %v", err)
			}
			return
		}
		if _, isThere := runtimes.ByName(plan.Runtime); !isThere || tag != "" && plan.Runtime != tag {
			t.Errorf("the plan is for %q, and the tag is %q", plan.Runtime, tag)
		}
		if plan.Process.Command == "" || plan.Process.Port < 1 || plan.Process.Port > 65535 {
			t.Errorf("half a plan: %+v", plan)
		}
	})
}

// What a runtime is called and its lock come from everywhere; no text of them may lead to a runtime of another language.
func FuzzResolveRuntime(f *testing.F) {
	for _, seed := range [][2]string{{"python3", "3.10"}, {"nodejs20", "20.11.0"}, {"Nodejs12", ""}, {"golang:1.21-alpine", "latest"}, {"", "python3"}, {"corretto8", "8u372"}, {"java", ">=17"}} {
		f.Add(seed[0], seed[1])
	}
	runtimes := testRuntimes(f)
	f.Fuzz(func(t *testing.T, name, lock string) {
		file := appfile.File{Runtime: name, RuntimeVersion: lock}
		runtime, _, err := resolveRuntime(runtimes, file)
		if err != nil {
			if platform.AsExplained(err) == nil {
				t.Errorf("the error does not explain: %v", err)
			}
			return
		}
		if _, isExact := runtimes.ByName(name); isExact && languageOf(name) != languageOf(runtime.Name) {
			t.Errorf("%s with version %q is read as %s", name, lock, runtime.Name)
		}
	})
}
