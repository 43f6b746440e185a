package host

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestThePasswordsOfSettingsAreKnown(t *testing.T) {
	settings := Settings{
		Proxy:       Proxy{HTTP: "http://user:pr%2Fxy-pass@proxy:3128", No: "localhost"},
		NPMRegistry: "https://npm-token@npm.example.org/",
		GoProxy:     "https://u:go-pass@go.example.org,direct",
		BuildEnvironment: map[string]string{
			"PIP_EXTRA_INDEX_URL": "https://a:first@one.example.org https://b:second@two.example.org", "GOFLAGS": "-v", "X": "https://a:b@c",
		},
	}
	want := []string{"first", "go-pass", "npm-token", "pr%2Fxy-pass", "pr/xy-pass", "second"}
	if diff := cmp.Diff(want, settings.Secrets()); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
}
