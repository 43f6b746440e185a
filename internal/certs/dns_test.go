package certs

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/apron-run/apron/internal/certs/dnstest"
)

const (
	recordName = "_0123456789abcdef0123456789abcdef.shop.test."
	target     = "_fedcba9876543210fedcba9876543210.abcdefghij.acm-validations.aws."
)

func TestARecordIsRead(t *testing.T) {
	for name, prepare := range map[string]func(*dnstest.Server){
		"that is there":                         func(s *dnstest.Server) {},
		"whose answer does not fit":             func(s *dnstest.Server) { s.Truncate() },
		"although another's answer comes too":   func(s *dnstest.Server) { s.Forge() },
		"whose name is asked for in upper case": func(s *dnstest.Server) {},
	} {
		t.Run(name, func(t *testing.T) {
			server := dnstest.Start(t)
			server.Set(recordName, target)
			prepare(server)
			asked := recordName
			if strings.Contains(name, "upper case") {
				asked = strings.ToUpper(asked)
			}
			if got, err := (DNS{server.Addr}).CNAME(t.Context(), asked); err != nil || got != target {
				t.Errorf("%q (%v), want %q", got, err, target)
			}
		})
	}
}

func TestARecordThatIsNotThereIsNoError(t *testing.T) {
	server := dnstest.Start(t)
	if got, err := (DNS{server.Addr}).CNAME(t.Context(), recordName); err != nil || got != "" {
		t.Errorf("%q (%v), want nothing", got, err)
	}
}

func TestWhoDoesNotAnswerIsNamed(t *testing.T) {
	server := dnstest.Start(t)
	server.Fail(dnsmessage.RCodeServerFailure)
	_, err := DNS{server.Addr}.CNAME(t.Context(), recordName)
	if err == nil || !strings.Contains(err.Error(), server.Addr) || !strings.Contains(err.Error(), "ServerFailure") {
		t.Errorf("a server that fails: %v", err)
	}
	if got := server.Asked(recordName); got != rounds {
		t.Errorf("it was asked %d times, want %d", got, rounds)
	}
	server.BeSilent(true)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if _, err := (DNS{server.Addr}).CNAME(ctx, recordName); err == nil || time.Since(begun) > time.Second {
		t.Errorf("a server that is silent: %v after %s", err, time.Since(begun))
	}
	if _, err := (DNS{server.Addr}).CNAME(t.Context(), "a..b."); err == nil {
		t.Error("a name that is none is asked for")
	}
}

func TestTheMachinesServersAreRead(t *testing.T) {
	const file = "# nameserver 192.0.2.9\nsearch test\nnameserver 192.0.2.1\nnameserver\t2001:db8::1\noptions ndots:1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n"
	want := []string{"192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.2:53"}
	if diff := cmp.Diff(want, readServers(strings.NewReader(file))); diff != "" {
		t.Errorf("servers (-want +got):\n%s", diff)
	}
}
