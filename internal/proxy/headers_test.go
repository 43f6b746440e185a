package proxy

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestTheClientIsTheLastHopThatIsNoTrustedProxy(t *testing.T) {
	p := New(Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fe80::/10")}})
	for _, test := range []struct {
		peer  string
		chain []string
		want  string // empty for nobody knows
	}{
		{"192.0.2.1", []string{"203.0.113.1"}, "192.0.2.1"},
		{"10.0.0.1", nil, "10.0.0.1"},
		{"10.0.0.1", []string{"203.0.113.1"}, "203.0.113.1"},
		{"10.0.0.1", []string{"203.0.113.1, 203.0.113.2, 10.0.0.2"}, "203.0.113.2"},
		{"10.0.0.1", []string{"203.0.113.1", "203.0.113.2"}, "203.0.113.2"},
		{"10.0.0.1", []string{"10.0.0.3,10.0.0.2"}, "10.0.0.3"},
		{"10.0.0.1", []string{"203.0.113.1, "}, "203.0.113.1"},
		{"10.0.0.1", []string{"::ffff:203.0.113.1"}, "203.0.113.1"},
		{"10.0.0.1", []string{"203.0.113.1, ::ffff:10.0.0.2"}, "203.0.113.1"},
		{"10.0.0.1", []string{`fe80::1%"}`}, "fe80::1"},
		// Some proxies tell the port too.
		{"10.0.0.1", []string{"203.0.113.1:4711"}, "203.0.113.1"},
		{"10.0.0.1", []string{"203.0.113.1:4711, 10.0.0.2:80"}, "203.0.113.1"},
		{"10.0.0.1", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		{"10.0.0.1", []string{"[2001:db8::1]"}, "2001:db8::1"},
		// What a trusted proxy does not know is not the proxy: it may be at an address that is allowed.
		{"10.0.0.1", []string{"unknown"}, ""},
		{"10.0.0.1", []string{"203.0.113.1, _secret"}, ""},
	} {
		got := p.clientOf(&http.Request{Header: http.Header{"X-Forwarded-For": test.chain}}, netip.MustParseAddr(test.peer))
		want, _ := netip.ParseAddr(test.want)
		if got != want {
			t.Errorf("%s and %q: %s, want %s", test.peer, test.chain, got, want)
		}
	}
}
