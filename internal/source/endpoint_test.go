package source_test

import (
	"os"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/source"
)

func TestApronsOwnAddressesAreKnown(t *testing.T) {
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		listen, hostport, defaultPort string
		want                          bool
	}{
		{"127.0.0.1:8700", "127.0.0.1:8700", "80", true},
		{"127.0.0.1:8700", "localhost:8700", "80", true},
		{"127.0.0.1:8700", "LOCALHOST:8700", "80", true},
		{"127.0.0.1:8700", "127.0.0.1:8701", "80", false},
		{"127.0.0.1:8700", "127.0.0.2:8700", "80", false},
		{"127.0.0.1:8700", "127.0.0.1", "80", false},
		{"127.0.0.1:80", "127.0.0.1", "80", true},
		{"127.0.0.1:8700", "example.org:8700", "80", false},
		{"127.0.0.1:8700", hostname + ":8700", "80", false},
		{"localhost:8700", "127.0.0.1:8700", "80", true},
		{"[::1]:8700", "[::1]:8700", "80", true},
		{"[::1]:8700", "localhost:8700", "80", true},
		{":8700", "127.0.0.1:8700", "80", true},
		{":8700", "127.0.0.7:8700", "80", true},
		{":8700", "[::1]:8700", "80", true},
		{":8700", hostname + ":8700", "80", true},
		{"0.0.0.0:8700", "localhost:8700", "80", true},
		{"0.0.0.0:8700", "192.0.2.1:8700", "80", false},
		{"192.0.2.1:8700", "192.0.2.1:8700", "80", true},
		{"192.0.2.1:8700", "localhost:8700", "80", false},
		{"192.0.2.1:8700", "apron.example.org:8700", "80", true},
		{"", "127.0.0.1", "80", false},
		{"", "", "", false},
	} {
		endpoint := source.NewEndpoint(test.listen, "apron.example.org")
		if got := endpoint.Is(test.hostport, test.defaultPort); got != test.want {
			t.Errorf("listening on %q, is %q (default %q) apron: %v, want %v", test.listen, test.hostport, test.defaultPort, got, test.want)
		}
	}
}

func TestTheAddressToReachApronIsOneThatCanBeCalled(t *testing.T) {
	for listen, want := range map[string]string{
		":8700": "127.0.0.1:8700", "0.0.0.0:8700": "127.0.0.1:8700", "[::]:8700": "127.0.0.1:8700",
		"[::1]:8700": "[::1]:8700", "192.0.2.1:8700": "192.0.2.1:8700",
	} {
		if got := source.NewEndpoint(listen).Address(); got != want {
			t.Errorf("listening on %s: %s, want %s", listen, got, want)
		}
	}
}

func TestTheNearestNamesComeFirst(t *testing.T) {
	got := source.Nearest("mian", []string{"zeta", "develop", "main", "maint", "alpha"}, 3)
	if strings.Join(got, " ") != "main maint zeta" {
		t.Errorf("got %v", got)
	}
	if got := source.Nearest("x", nil, 3); len(got) != 0 {
		t.Errorf("got %v of nothing", got)
	}
	source.Nearest(strings.Repeat("a", 1<<20), []string{strings.Repeat("b", 1<<20)}, 1) // ends soon
}
