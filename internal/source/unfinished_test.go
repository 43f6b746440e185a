package source

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestWhatACrashLeftIsToldOnce(t *testing.T) {
	changes := Unfinished{Dir: filepath.Join(t.TempDir(), "changes")}
	told := func() (all []string) {
		t.Helper()
		err := changes.Each(func(subject string, before json.RawMessage) { all = append(all, subject+" "+string(before)) })
		if err != nil {
			t.Error(err)
		}
		slices.Sort(all)
		return all
	}
	if got := told(); len(got) != 0 {
		t.Errorf("before any change: %q", got)
	}
	for _, subject := range []string{"ended", "app", "app", "web/../shop"} {
		end, err := changes.Begin(subject, []int{1})
		if err != nil {
			t.Fatal(err)
		}
		if subject == "ended" {
			if err := end(); err != nil {
				t.Error(err)
			}
		}
	}
	for name, text := range map[string]string{"half.json": "{", "1.new": `{"Subject":"not begun"}`} {
		if err := os.WriteFile(filepath.Join(changes.Dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := told(), []string{"app [1]", "app [1]", "web/../shop [1]"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	if got := told(); len(got) != 0 {
		t.Errorf("told again: %q", got)
	}
}
