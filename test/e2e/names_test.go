package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/internal/certs/dnstest"
	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

// settleTimeout bounds what takes milliseconds, and the second that DNS is left alone at first.
const settleTimeout = 20 * time.Second

// Services answer to custom domains and, privately, to VPC ingress connections: one apron of its own, with a DNS server of
// the test's, and a private listener that is not on loopback only, so that instances are kept from it by rules alone.
func TestAServiceAnswersToItsOtherNames(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	private := free.Addr().String()
	free.Close()
	_, port, _ := net.SplitHostPort(private)
	dns := dnstest.Start(t)
	a := apron.Start(t, "--resolver="+dns.Addr, "--private-http=:"+port)
	a.Private = private
	push(t, a, "named:live", sample.Variant{Version: "one"})
	t.Run("HTTPS", func(t *testing.T) { byHTTPS(t, a) })
	t.Run("custom domains", func(t *testing.T) { customDomains(t, a, dns) })
	t.Run("private services", func(t *testing.T) { privateService(t, a, dns, port) })
	t.Run("a service that becomes private", func(t *testing.T) { becomePrivate(t, a) })
}

func customDomains(t *testing.T, a *apron.Apron, dns *dnstest.Server) {
	service := a.MustCreate(t, fromImage("shop", "named:live", nil))
	associate(t, a, service, "shop.customer.test", true)
	publish(t, a, service, dns, "shop.customer.test", 3)
	wantDomain(t, a, service, "shop.customer.test", "active")
	for _, host := range []string{"shop.customer.test", "www.shop.customer.test", service.URL} {
		a.WantBody(t, host, "/", "one")
	}
	wantStatus(t, a, http.StatusNotFound, "other.customer.test", "ww.shop.customer.test")
	if got := a.GetPrivate(t, "shop.customer.test", "/").Status; got != http.StatusNotFound {
		t.Errorf("a public service's domain is answered with %d on the private listener", got)
	}

	// A wildcard of another service covers what is beside the first, and not what the first has.
	other := a.MustCreate(t, fromImage("wild", "named:live", map[string]string{"VERSION": "wild"}))
	associate(t, a, other, "*.customer.test", false)
	publish(t, a, other, dns, "*.customer.test", 2)
	wantDomain(t, a, other, "*.customer.test", "active")
	wild, own := a.Get(t, "any.customer.test", "/id").Body, a.Get(t, "shop.customer.test", "/id").Body
	if want := a.Get(t, other.URL, "/id").Body; wild != want || own == want {
		t.Errorf("the wildcard leads to %s, the domain beside it to %s; the wildcard's service is %s", wild, own, want)
	}

	for name, end := range map[string]func(testing.TB){"SIGTERM": a.Stop, "SIGKILL": a.Kill9} {
		end(t)
		a.Restart(t)
		if got := a.Get(t, "shop.customer.test", "/id").Body; got != own {
			t.Errorf("at once after %s the domain is answered by %q, want %q", name, got, own)
		}
	}

	// One that waits for its records goes on waiting after a restart, and is told of them.
	associate(t, a, service, "late.customer.test", false)
	wantDomain(t, a, service, "late.customer.test", "pending_certificate_dns_validation")
	a.Kill9(t)
	a.Restart(t)
	publish(t, a, service, dns, "late.customer.test", 2)
	wantDomain(t, a, service, "late.customer.test", "active")

	associate(t, a, service, "example.com", false)
	wantDomain(t, a, service, "example.com", "create_failed")
	if lines := strings.Join(service.Lines(t, "events"), "\n"); !strings.Contains(lines, "reserved for documentation") {
		t.Errorf("the events do not say why:\n%s", lines)
	}

	pause(t, a, service)
	wantStatus(t, a, http.StatusServiceUnavailable, "shop.customer.test", service.URL)
	resumed, err := a.SDK().ResumeService(t.Context(), &apprunner.ResumeServiceInput{ServiceArn: &service.ARN})
	if err != nil {
		t.Fatal(err)
	}
	service.WantOperation(t, *resumed.OperationId, "SUCCEEDED")
	a.WantBody(t, "shop.customer.test", "/", "one")

	removed, err := a.SDK().DisassociateCustomDomain(t.Context(), &apprunner.DisassociateCustomDomainInput{ServiceArn: &service.ARN, DomainName: ptr("late.customer.test")})
	if err != nil || removed.CustomDomain.Status != "deleting" || len(removed.CustomDomain.CertificateValidationRecords) != 2 {
		t.Errorf("the domain that is removed is %+v (%v)", removed, err)
	}
	wantDomain(t, a, service, "late.customer.test", "")
	if got, want := a.Get(t, "late.customer.test", "/id").Body, wild; got != want {
		t.Errorf("what was removed is answered by %s, want the wildcard's %s", got, want)
	}
	service.Delete(t)
	if got := a.Get(t, "shop.customer.test", "/id").Body; got != wild {
		t.Errorf("a deleted service's domain is answered by %s, want the wildcard's %s", got, wild)
	}
	wantStatus(t, a, http.StatusNotFound, "www.shop.customer.test")
	associate(t, a, other, "shop.customer.test", false) // its name is free again
	other.Delete(t)
	wantStatus(t, a, http.StatusNotFound, "any.customer.test", "shop.customer.test")
}

// associate gives the service a domain, which must answer as App Runner does at that moment.
func associate(t *testing.T, a *apron.Apron, service *apron.Service, name string, hasWWW bool) {
	t.Helper()
	output, err := a.SDK().AssociateCustomDomain(t.Context(), &apprunner.AssociateCustomDomainInput{
		ServiceArn: &service.ARN, DomainName: &name, EnableWWWSubdomain: &hasWWW,
	})
	if err != nil {
		t.Fatal(err)
	}
	if domain := output.CustomDomain; domain.Status != "creating" || len(domain.CertificateValidationRecords) != 0 {
		t.Errorf("the new domain %s is %s with %d records", name, domain.Status, len(domain.CertificateValidationRecords))
	}
}

// publish makes the records that a pending domain asks for, of which there are n. They may be seen while the answer is on
// its way.
func publish(t *testing.T, a *apron.Apron, service *apron.Service, dns *dnstest.Server, name string, n int) {
	t.Helper()
	domain := wantDomain(t, a, service, name, "pending_certificate_dns_validation")
	if got := len(domain.CertificateValidationRecords); got != n {
		t.Errorf("%s has %d records, want %d", name, got, n)
	}
	for _, record := range domain.CertificateValidationRecords {
		if record.Status != types.CertificateValidationRecordStatusPendingValidation || *record.Type != "CNAME" {
			t.Errorf("a record of %s is a %s and %s", name, *record.Type, record.Status)
		}
		dns.Set(*record.Name, *record.Value)
	}
}

// wantDomain waits until the service's domain has the status; an empty one means that it is gone.
func wantDomain(t *testing.T, a *apron.Apron, service *apron.Service, name, status string) (found types.CustomDomain) {
	t.Helper()
	apron.Until(t, settleTimeout, name+" is "+status, func() (bool, error) {
		output, err := a.SDK().DescribeCustomDomains(t.Context(), &apprunner.DescribeCustomDomainsInput{ServiceArn: &service.ARN})
		if err != nil {
			return false, err
		}
		at := slices.IndexFunc(output.CustomDomains, func(d types.CustomDomain) bool { return *d.DomainName == name })
		if at < 0 {
			return status == "", errors.New("it is not there")
		}
		found = output.CustomDomains[at]
		return string(found.Status) == status, fmt.Errorf("it is %s", found.Status)
	})
	for _, record := range found.CertificateValidationRecords {
		if status == "active" && record.Status != types.CertificateValidationRecordStatusSuccess {
			t.Errorf("%s is active, its record %s is %s", name, *record.Name, record.Status)
		}
	}
	return found
}

func wantStatus(t *testing.T, a *apron.Apron, want int, hosts ...string) {
	t.Helper()
	for _, host := range hosts {
		if got := a.Get(t, host, "/").Status; got != want {
			t.Errorf("%s is answered with %d, want %d", host, got, want)
		}
	}
}

func pause(t *testing.T, a *apron.Apron, service *apron.Service) {
	t.Helper()
	output, err := a.SDK().PauseService(t.Context(), &apprunner.PauseServiceInput{ServiceArn: &service.ARN})
	if err != nil {
		t.Fatal(err)
	}
	service.WantOperation(t, *output.OperationId, "SUCCEEDED")
}

func privateService(t *testing.T, a *apron.Apron, dns *dnstest.Server, port string) {
	input := fromImage("inner", "named:live", nil)
	input.NetworkConfiguration = accessible(false)
	service := a.MustCreate(t, input)
	if service.URL != "" {
		t.Errorf("a private service has the URL %s", service.URL)
	}
	domains, err := a.SDK().DescribeCustomDomains(t.Context(), &apprunner.DescribeCustomDomainsInput{ServiceArn: &service.ARN})
	if err != nil {
		t.Fatal(err)
	}
	own := *domains.DNSTarget
	wantStatus(t, a, http.StatusNotFound, own)
	if got := a.GetPrivate(t, own, "/").Status; got != http.StatusNotFound {
		t.Errorf("without a connection its own host is answered with %d", got)
	}

	network := &types.IngressVpcConfiguration{VpcId: ptr("vpc-1"), VpcEndpointId: ptr("vpce-1")}
	created, err := a.SDK().CreateVpcIngressConnection(t.Context(), &apprunner.CreateVpcIngressConnectionInput{
		ServiceArn: &service.ARN, VpcIngressConnectionName: ptr("door"), IngressVpcConfiguration: network,
	})
	if err != nil || created.VpcIngressConnection.Status != types.VpcIngressConnectionStatusPendingCreation {
		t.Fatalf("the new connection is %+v (%v)", created, err)
	}
	door := created.VpcIngressConnection
	wantConnection(t, a, *door.VpcIngressConnectionArn, types.VpcIngressConnectionStatusAvailable)
	const domain = "inner.customer.test"
	associate(t, a, service, domain, false)
	publish(t, a, service, dns, domain, 2)
	wantDomain(t, a, service, domain, "active")
	wantPrivate := func(when string) {
		t.Helper()
		for _, host := range []string{*door.DomainName, domain} {
			if got := a.GetPrivate(t, host, "/"); got.Body != "one" {
				t.Errorf("%s %s is answered with %d %q", when, host, got.Status, got.Body)
			}
		}
		wantStatus(t, a, http.StatusNotFound, *door.DomainName, domain, own)
		wantNothingByHTTPS(t, a, *door.DomainName, domain, own)
	}
	wantPrivate("once it is available")
	a.Kill9(t)
	a.Restart(t)
	wantPrivate("at once after a restart")
	updated, err := a.SDK().UpdateVpcIngressConnection(t.Context(), &apprunner.UpdateVpcIngressConnectionInput{
		VpcIngressConnectionArn: door.VpcIngressConnectionArn, IngressVpcConfiguration: &types.IngressVpcConfiguration{VpcEndpointId: ptr("vpce-2")},
	})
	if err != nil || updated.VpcIngressConnection.Status != types.VpcIngressConnectionStatusPendingUpdate {
		t.Errorf("the updated connection is %+v (%v)", updated, err)
	}
	wantConnection(t, a, *door.VpcIngressConnectionArn, types.VpcIngressConnectionStatusAvailable)
	service.MustDeploy(t)
	wantPrivate("after a deployment")

	// The gateway of an instance is the host, which listens there too.
	attacker := a.MustCreate(t, fromImage("attacker", "named:live", nil))
	gateway := gatewayOf(t, attacker.WantOneInstance(t).Address)
	if conn, err := net.DialTimeout("tcp", net.JoinHostPort(gateway, port), settleTimeout); err != nil {
		t.Errorf("nothing listens where an instance could try: %v", err)
	} else {
		conn.Close()
	}
	if got := dialFrom(t, a, attacker, "tcp", net.JoinHostPort(gateway, port)); got == "connected" {
		t.Error("an instance reaches the private listener")
	}
	attacker.Delete(t)

	if _, err := a.SDK().DeleteService(t.Context(), &apprunner.DeleteServiceInput{ServiceArn: &service.ARN}); err == nil || !strings.Contains(err.Error(), *door.VpcIngressConnectionArn) {
		t.Errorf("a service with a connection is deleted: %v", err)
	}
	pause(t, a, service)
	if got := a.GetPrivate(t, *door.DomainName, "/").Status; got != http.StatusServiceUnavailable {
		t.Errorf("a paused service's connection is answered with %d", got)
	}
	closed, err := a.SDK().DeleteVpcIngressConnection(t.Context(), &apprunner.DeleteVpcIngressConnectionInput{VpcIngressConnectionArn: door.VpcIngressConnectionArn})
	if err != nil || closed.VpcIngressConnection.Status != types.VpcIngressConnectionStatusPendingDeletion {
		t.Errorf("the deleted connection is %+v (%v)", closed, err)
	}
	if deleted := wantConnection(t, a, *door.VpcIngressConnectionArn, types.VpcIngressConnectionStatusDeleted); deleted.DeletedAt == nil {
		t.Error("the deleted connection has no DeletedAt")
	}
	if got := a.GetPrivate(t, *door.DomainName, "/").Status; got != http.StatusNotFound {
		t.Errorf("a deleted connection's name is answered with %d", got)
	}
	service.Delete(t)
}

func accessible(isPublic bool) *types.NetworkConfiguration {
	return &types.NetworkConfiguration{IngressConfiguration: &types.IngressConfiguration{IsPubliclyAccessible: isPublic}}
}

// wantConnection waits until a VPC ingress connection has the status.
func wantConnection(t *testing.T, a *apron.Apron, arn string, status types.VpcIngressConnectionStatus) (found *types.VpcIngressConnection) {
	t.Helper()
	apron.Until(t, settleTimeout, "the connection is "+string(status), func() (bool, error) {
		output, err := a.SDK().DescribeVpcIngressConnection(t.Context(), &apprunner.DescribeVpcIngressConnectionInput{VpcIngressConnectionArn: &arn})
		if err != nil {
			return false, err
		}
		found = output.VpcIngressConnection
		return found.Status == status, fmt.Errorf("it is %s", found.Status)
	})
	return found
}

// A public service becomes private and public again while its host is asked all the time. Every answer is the service's
// until the switch and 404 from then on, and a request that was on its way at the switch is answered.
func becomePrivate(t *testing.T, a *apron.Apron) {
	service := a.MustCreate(t, fromImage("retiring", "named:live", nil))
	host := service.URL
	update := func(isPublic bool) {
		t.Helper()
		output, err := a.SDK().UpdateService(t.Context(), &apprunner.UpdateServiceInput{ServiceArn: &service.ARN, NetworkConfiguration: accessible(isPublic)})
		if err != nil {
			t.Fatal(err)
		}
		service.WantOperation(t, aws.ToString(output.OperationId), "SUCCEEDED")
	}
	for _, isPublic := range []bool{false, true} {
		first, last := http.StatusOK, http.StatusNotFound
		if isPublic {
			first, last = last, first
		}
		var asking sync.WaitGroup
		done := make(chan struct{})
		for range 4 {
			asking.Go(func() {
				client := a.Client()
				defer client.CloseIdleConnections()
				for status := first; ; {
					response, err := client.Get("http://" + host + "/slow?for=20ms")
					if err != nil {
						t.Error(err)
						return
					}
					response.Body.Close()
					if response.StatusCode != status && (status == last || response.StatusCode != last) {
						t.Errorf("after %d it is answered with %d", status, response.StatusCode)
						return
					}
					status = response.StatusCode
					select {
					case <-done:
						if status != last {
							t.Errorf("after the update it is answered with %d, want %d", status, last)
						}
						return
					default:
					}
				}
			})
		}
		update(isPublic)
		wantStatus(t, a, last, host)
		close(done)
		asking.Wait()
	}
	service.Delete(t)
}
