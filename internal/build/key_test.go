package build_test

import (
	"io"
	"testing"

	"github.com/apron-run/apron/internal/build"
	"github.com/apron-run/apron/internal/platform"
)

func TestTheKeyOfABuildNamesWhatItDependsOn(t *testing.T) {
	w := openWorld(t)
	code := platform.CodeSource{
		RepositoryURL: "https://git.test/app.git", Branch: "main", Directory: "/",
		Values: &platform.CodeValues{Runtime: "PYTHON_311", StartCommand: "python3 app.py"},
	}
	key := func(runtime string, change func(r *build.Request)) string {
		r := build.Request{Code: code, Tags: map[string]string{"apron:x": "1", "team": "a"}, Log: io.Discard}
		change(&r)
		return w.builder.Key(t.Context(), r, runtime)
	}
	same := key("python311", func(*build.Request) {})
	if same == "" {
		t.Fatal("a build for python311 has no key")
	}
	for name, change := range map[string]func(r *build.Request){
		"nothing":              func(*build.Request) {},
		"the branch":           func(r *build.Request) { r.Code.Branch = "other" },
		"the folder and image": func(r *build.Request) { r.Dir, r.ImageName = "/x", "y" },
		"a tag of the user's":  func(r *build.Request) { r.Tags = map[string]string{"apron:x": "1", "team": "b"} },
	} {
		if key("python311", change) != same {
			t.Errorf("%s makes another key", name)
		}
	}
	for name, change := range map[string]func(r *build.Request){
		"the source directory": func(r *build.Request) { r.Code.Directory = "/api" },
		"where settings are":   func(r *build.Request) { r.Code.UsesConfigurationFile = true },
		"a command":            func(r *build.Request) { r.Code.Values = &platform.CodeValues{StartCommand: "python3 other.py"} },
		"a tag of apron's":     func(r *build.Request) { r.Tags = map[string]string{"apron:x": "2", "team": "a"} },
	} {
		if key("python311", change) == same {
			t.Errorf("%s makes no other key", name)
		}
	}
	if other := key("nodejs22", func(*build.Request) {}); other == same || other == "" {
		t.Errorf("for another runtime the key is %q", other)
	}
	for _, unknown := range []string{"", "cobol85"} {
		if got := key(unknown, func(*build.Request) {}); got != "" {
			t.Errorf("for the runtime %q there is the key %q", unknown, got)
		}
	}
}
