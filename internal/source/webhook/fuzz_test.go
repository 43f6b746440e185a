package webhook

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/apron-run/apron/internal/platform"
)

// Whatever a call holds, reading it ends well, and what comes of it is bounded and fit for a log.
func FuzzRead(f *testing.F) {
	entries, err := os.ReadDir("testdata")
	if err != nil {
		f.Fatal(err)
	}
	for _, entry := range entries {
		if entry.IsDir() {
			continue
		}
		header, body := readCall(f, entry.Name())
		for name, values := range header {
			f.Add(name, values[0], header.Get("Content-Type"), body)
		}
	}
	image := platform.Source{Image: &platform.ImageSource{Identifier: "registry.test/app:live"}}
	code := platform.Source{Code: &platform.CodeSource{Branch: "main"}}
	f.Fuzz(func(t *testing.T, name, value, contentType, body string) {
		header := http.Header{"Content-Type": {contentType}}
		header.Set(name, value)
		message, err := read(header, []byte(body))
		if err != nil {
			if len(message.events) > 0 || strings.Contains(err.Error(), "\n") || len(err.Error()) > 1000 {
				t.Errorf("%d events with %q", len(message.events), err)
			}
			return
		}
		for _, event := range message.events {
			for _, from := range []platform.Source{code, image} {
				if !event.isAbout(from, "live") {
					continue
				}
				hint := event.hint(from, "live", message.from)
				if strings.ContainsAny(hint.What, "\n\r\x1b") || !utf8.ValidString(hint.What) || len(hint.What) > 300 {
					t.Errorf("the hint is %q", hint.What)
				}
			}
		}
	})
}

// No signature that is made up is taken for a proof.
func FuzzIsProven(f *testing.F) {
	f.Add("X-Hub-Signature-256", "sha256=00", "{}", "")
	f.Add("Authorization", "Bearer x", "{}", "x")
	f.Add("Webhook-Signature", "v1,AAAA", "", "")
	f.Fuzz(func(t *testing.T, name, value, body, presented string) {
		header := http.Header{}
		header.Set(name, value)
		if presented != secret && !strings.Contains(value, secret) && isProven(header, []byte(body), presented, secret, time.Now()) {
			t.Errorf("%s: %q proves it", name, value)
		}
	})
}
