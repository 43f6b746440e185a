package platform_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/apron-run/apron/internal/platform"
)

func TestAServicesURLIsByHTTPSWhereThereIsThat(t *testing.T) {
	type urls struct{ URL, Plain, Service string }
	for ports, want := range map[platform.Listeners]urls{
		{HTTPPort: 8080, HTTPSPort: 8443}: {"https://a.test:8443", "http://a.test:8080", "a.test:8080"},
		{HTTPPort: 80, HTTPSPort: 443}:    {"https://a.test", "http://a.test", "a.test"},
		{HTTPPort: 8080, HTTPSPort: 443}:  {"https://a.test", "http://a.test:8080", "a.test"},
		{HTTPPort: 8080}:                  {"http://a.test:8080", "http://a.test:8080", "a.test:8080"},
		{HTTPPort: 80}:                    {"http://a.test", "http://a.test", "a.test:80"},
		{HTTPPort: 443}:                   {"https://a.test", "http://a.test:443", "a.test"},
	} {
		got := urls{ports.URL("a.test"), ports.PlainURL("a.test"), ports.ServiceURL("a.test")}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", ports, diff)
		}
	}
}
