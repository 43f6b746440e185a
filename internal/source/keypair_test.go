package source_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/source"
)

func TestOnlyTheWholeKeyPairMatches(t *testing.T) {
	keys := source.KeyPair{ID: "id", Secret: "secret"}
	for _, test := range []struct {
		user, password string
		want           bool
	}{
		{"id", "secret", true},
		{"id", "Secret", false}, {"id", "", false}, {"", "secret", false}, {"", "", false},
		{"idsecret", "", false}, {"secret", "id", false}, {"id", "secret ", false},
	} {
		if got := keys.Matches(test.user, test.password); got != test.want {
			t.Errorf("%q %q: %v", test.user, test.password, got)
		}
		request, _ := http.NewRequest(http.MethodGet, "/", nil)
		request.SetBasicAuth(test.user, test.password)
		if got := keys.Allows(request); got != test.want {
			t.Errorf("a request with %q %q: %v", test.user, test.password, got)
		}
	}
	for _, empty := range []source.KeyPair{{}, {ID: "id"}, {Secret: "secret"}} {
		if empty.Matches(empty.ID, empty.Secret) {
			t.Errorf("%v lets its own values in", empty)
		}
	}
}

func TestAKeyPairNeverPrintsItsSecret(t *testing.T) {
	keys := source.KeyPair{ID: "id", Secret: "secret"}
	var lines bytes.Buffer
	slog.New(slog.NewTextHandler(&lines, nil)).Info("keys", "keys", keys)
	slog.New(slog.NewJSONHandler(&lines, nil)).Info("keys", "keys", keys)
	config := struct{ Keys source.KeyPair }{keys}
	fmt.Fprintf(&lines, "%v %+v %#v %s %v %+v %#v", keys, keys, keys, keys, config, config, config)
	if strings.Contains(lines.String(), "secret") {
		t.Errorf("printed: %s", lines.String())
	}
}
