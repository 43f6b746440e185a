package rules

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/platform"
)

func TestADeniedPathCannotBeReachedByAnotherSpelling(t *testing.T) {
	rules := &platform.Traffic{PathRules: []platform.PathRule{{Prefix: "/admin", Action: platform.PathActionDeny}}}
	for _, target := range []string{
		"/admin", "/admin/", "/admin?a=b", "/admin/users", "/ADMIN", "/aDmIn/x", "//admin", "///admin//users", "/./admin", "/x/../admin",
		"/x/y/../../admin", "/../admin", "/admin/..", "/admin/../public", "/%61dmin", "/%61%64%6D%69%6e", "/%2561dmin", "/%252561dmin",
		"/x%2f..%2fadmin", "/x/%2e%2e/admin", "/x/.%2e/admin", "/x/%252e%252e/admin", "/%2e/admin", "/%2fadmin", `/\admin`, "/%5cadmin",
		`/x\..\admin`, "/admin;x=y", "/admin;x/y", "/;/admin", "/x;a/..;b/admin", "/x/..;/admin", "/admin%00", "/admin%00.png", "/admin#x",
		"/admin\xa0", "/admin\x85", "/admin%A0", "/admin%C2%A0", "/x/..%2fadmin%e3%80%80", "/admin\ufeff", "/admin%3fx", "/admin%23x", "/admin%20", "/admin%09", "/p/y%2fz/../../%61dmin", "/x//../admin", "/x/%2f/..%2f../admin",
		`/b/a\x/../../admin`, "/admin%2f..%2fpublic", "/.;/admin", "/..%5cadmin", "/%c5%bf/../admin", "/%61dmin%zz/../admin/",
		"/%" + strings.Repeat("25", 30) + "61dmin", "/%" + strings.Repeat("25", 100) + "61",
	} {
		if got := Judge(rules, netip.Addr{}, target, true); got != Denied {
			t.Errorf("%s passes", target)
		}
	}
	for _, target := range []string{
		"/", "/public", "/administrators", "/public/admin", "/public?next=/admin", "/public?x=/../admin", "/a/dmin", "/admi", "/admi%6", "/admin%", "/admin.css",
		"/%61dministrators", "/x/../public", "/wiki/Admin%20rights", "/a;admin", "*", "", "/public/a%2Fb", "/adminà", "/admin%c3", "/файл", "/%D1%84",
	} {
		if got := Judge(rules, netip.Addr{}, target, true); got != Pass {
			t.Errorf("%s is denied", target)
		}
	}
}

func TestTheFirstRuleThatFitsDecides(t *testing.T) {
	rules := &platform.Traffic{PathRules: []platform.PathRule{
		{Prefix: "/login", Action: platform.PathActionHTTPS}, {Prefix: "/login/old", Action: platform.PathActionDeny}, {Prefix: "/straße", Action: platform.PathActionDeny},
		{Prefix: "/private", Action: platform.PathActionDeny},
	}}
	for target, want := range map[string][2]Verdict{ // by plain HTTP, and by TLS
		"/login":          {HTTPS, Pass},
		"/login/old":      {HTTPS, Pass},
		"/private/x":      {Denied, Denied},
		"/stra%C3%9fe/1":  {Denied, Denied},
		"/else":           {Pass, Pass},
		"/Private%2f?a=b": {Denied, Denied},
		// What some read as one path and others as another is no way around the stricter rule.
		"/login/../private/x":                         {Denied, Denied},
		"/private/../login":                           {Denied, Denied},
		"/else/..%2flogin":                            {HTTPS, Pass},
		"/login/%" + strings.Repeat("25", 100) + "61": {Denied, Denied},
	} {
		got := [2]Verdict{Judge(rules, netip.Addr{}, target, false), Judge(rules, netip.Addr{}, target, true)}
		if got != want {
			t.Errorf("%s: %v, want %v", target, got, want)
		}
	}
	all := &platform.Traffic{PathRules: []platform.PathRule{{Prefix: "/", Action: platform.PathActionDeny}}}
	for _, target := range []string{"/", "/x", "*", ""} {
		if Judge(all, netip.Addr{}, target, false) != Denied {
			t.Errorf("of a service that is closed, %q passes", target)
		}
	}
}

func TestOnlyAllowedAddressesPass(t *testing.T) {
	rules := &platform.Traffic{RedirectsToHTTPS: true, AllowIPs: []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.168.1.7/32"), netip.MustParsePrefix("2001:db8::/32"),
	}}
	for client, want := range map[string]Verdict{
		"10.255.0.1": Pass, "192.168.1.7": Pass, "2001:db8::1": Pass,
		"11.0.0.1": Foreign, "192.168.1.8": Foreign, "2001:db9::1": Foreign, "::1": Foreign,
	} {
		if got := Judge(rules, netip.MustParseAddr(client), "/", true); got != want {
			t.Errorf("%s: %v, want %v", client, got, want)
		}
	}
	if got := Judge(rules, netip.Addr{}, "/", true); got != Foreign {
		t.Errorf("a client without an address: %v", got)
	}
	if got := Judge(rules, netip.MustParseAddr("10.0.0.1"), "/", false); got != HTTPS {
		t.Errorf("by plain HTTP: %v", got)
	}
}

func FuzzReadingsEndWithABound(f *testing.F) {
	f.Add("/a/%2e%2e/b;c//d\\e")
	f.Fuzz(func(t *testing.T, path string) {
		readings, isComplete := readingsOf(path)
		if len(readings) == 0 || len(readings) > maxReadings || isComplete && readings[0] != path {
			t.Errorf("%q has %d readings", path, len(readings))
		}
	})
}

func BenchmarkJudge(b *testing.B) {
	rules := &platform.Traffic{PathRules: []platform.PathRule{{Prefix: "/admin", Action: platform.PathActionDeny}}}
	b.ReportAllocs()
	for b.Loop() {
		Judge(rules, netip.Addr{}, "/api/users/42?fields=name", true)
	}
}
