package secret_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/secret"
	"github.com/apron-run/apron/internal/store"
	"github.com/apron-run/apron/internal/store/sqlite"
)

func newVault(t *testing.T) *secret.Vault {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "apron.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return &secret.Vault{Box: newBox(t, key), Store: db, ARN: func(path string) string { return "arn:test:" + path }, Now: time.Now}
}

func put(t *testing.T, v *secret.Vault, name, value string) {
	t.Helper()
	if _, err := v.Put(t.Context(), name, value); err != nil {
		t.Fatal(err)
	}
}

func TestAReferenceFindsItsSecret(t *testing.T) {
	v := newVault(t)
	put(t, v, "db", `{"password":"pw","port":5432}`)
	put(t, v, "/prod/token", "tk")
	put(t, v, "named-AbCdEf", "whole")
	put(t, v, "named", "short")
	for reference, want := range map[string]string{
		"prod/token":  "tk",
		"/prod/token": "tk",
		"arn:aws:ssm:eu-west-1:1:parameter/prod/token":                                    "tk",
		"arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf:password::":       "pw",
		"arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf:port:AWSCURRENT:": "5432",
		"arn:aws:secretsmanager:us-east-1:123456789012:secret:db":                         `{"password":"pw","port":5432}`,
		"arn:aws:secretsmanager:us-east-1:123456789012:secret:named-AbCdEf":               "whole",
		"arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:named-123456":    "short",
	} {
		if got, err := v.Value(t.Context(), reference); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", reference, got, err, want)
		}
	}
}

func TestAReferenceThatFindsNothingSaysWhatToDo(t *testing.T) {
	v := newVault(t)
	put(t, v, "db", `{"password":"pw"}`)
	put(t, v, "plain", "text")
	for reference, want := range map[string]string{
		"arn:aws:secretsmanager:us-east-1:123456789012:secret:gone-AbCdEf": "apron secret put gone`",
		"gone": "no secret gone",
		"arn:aws:secretsmanager:us-east-1:1:secret:db:user::":        `no key "user"`,
		"arn:aws:secretsmanager:us-east-1:1:secret:plain:user::":     "no JSON object",
		"arn:aws:secretsmanager:us-east-1:1:secret:db::AWSPREVIOUS:": "only the current one",
		"arn:aws:s3:::bucket": "must be a name, or an ARN",
		"has spaces":          "letters, digits",
	} {
		_, err := v.Value(t.Context(), reference)
		if platform.AsExplained(err) == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", reference, err, want)
		}
		if strings.Contains(err.Error(), "pw") || strings.Contains(err.Error(), "text") {
			t.Errorf("%s: the error tells a value: %v", reference, err)
		}
	}
	_, err := v.Seal(t.Context(), "1", map[string]string{"A": "plain", "TOKEN": "gone"})
	if err == nil || !strings.Contains(err.Error(), "variable TOKEN") {
		t.Errorf("the error does not name the variable: %v", err)
	}
}

func TestAnotherValueTakesTheFirstOnesPlace(t *testing.T) {
	v := newVault(t)
	put(t, v, "a", "one")
	put(t, v, "/a", "two")
	all, err := v.List(t.Context())
	if err != nil || len(all) != 1 || all[0].Name != "a" {
		t.Fatalf("there are %v, %v", all, err)
	}
	if got, err := v.Value(t.Context(), "a"); got != "two" {
		t.Errorf("it is %q, %v", got, err)
	}
	if _, err := v.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Delete(t.Context(), "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	put(t, v, "a", "three")
	if got, err := v.Value(t.Context(), "a"); got != "three" {
		t.Errorf("after its deletion it is %q, %v", got, err)
	}
}

func TestARevisionsSecretsAreItsOwn(t *testing.T) {
	v := newVault(t)
	put(t, v, "a", "one")
	sealed, err := v.Seal(t.Context(), "1", map[string]string{"A": "a"})
	if err != nil {
		t.Fatal(err)
	}
	put(t, v, "a", "two")
	got, err := v.Open("1", sealed)
	if diff := cmp.Diff(map[string]string{"A": "one"}, got); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
	if _, err := v.Open("2", sealed); err == nil {
		t.Error("they open for another revision")
	}
	if got, err := v.Open("1", nil); err != nil || len(got) != 0 {
		t.Errorf("without secrets: %v, %v", got, err)
	}
	put(t, v, "nul", "a\x00b")
	if _, err := v.Seal(t.Context(), "1", map[string]string{"A": "nul"}); err == nil || !strings.Contains(err.Error(), "NUL") {
		t.Errorf("a value that no variable can hold: %v", err)
	}
}

func TestThereAreOnlySoManySecrets(t *testing.T) {
	v := newVault(t)
	limited := &limitedStore{Resources: v.Store}
	v.Store = limited
	put(t, v, "a", "one")
	limited.names = secret.MaxSecrets
	if _, err := v.Put(t.Context(), "b", "two"); !errors.Is(err, secret.ErrTooMany) {
		t.Errorf("one too many: %v", err)
	}
	put(t, v, "a", "another value is none more")
}

func FuzzParseReference(f *testing.F) {
	f.Add("arn:aws:secretsmanager:us-east-1:1:secret:db-AbCdEf:password::")
	f.Add("arn:aws:ssm:eu-west-1:1:parameter/prod/token")
	f.Add("name")
	f.Fuzz(func(t *testing.T, text string) {
		reference, err := secret.ParseReference(text)
		if err == nil && secret.CheckName(reference.Name) != nil {
			t.Errorf("%q is read as %+v", text, reference)
		}
	})
}
