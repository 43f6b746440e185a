package e2e

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

// network is what `apron network create` prints.
type network struct {
	Name, Bridge, Subnet, HostAddress string
}

// A VPC connector attaches the instances of its service, and no others, to a network of the host: after a crash, after
// `apron down`, and until an update takes it away.
func TestAConnectorAttachesInstancesToANetworkOfTheHost(t *testing.T) {
	t.Parallel()
	a := apron.Start(t)
	push(t, a, "egress:live", sample.Variant{Version: "one"})
	connector := &apprunner.CreateVpcConnectorInput{VpcConnectorName: ptr("lower"), Subnets: []string{"subnet-0123456789abcdef0"}}
	if _, err := a.SDK().CreateVpcConnector(t.Context(), connector); err == nil || !strings.Contains(err.Error(), "apron network create") {
		t.Fatalf("a connector with a subnet that nothing stands for: %v", err)
	}
	port := strconv.Itoa(freePort(t))
	var made network
	a.CommandJSON(t, &made, "network", "create", "db", "--subnet-id", connector.Subnets[0], "--port", port)
	database := listenAt(t, net.JoinHostPort(made.HostAddress, port))
	output, err := a.SDK().CreateVpcConnector(t.Context(), connector)
	if err != nil {
		t.Fatal(err)
	}
	arn := output.VpcConnector.VpcConnectorArn
	input := fromImage("with", "egress:live", nil)
	input.NetworkConfiguration = &types.NetworkConfiguration{EgressConfiguration: &types.EgressConfiguration{EgressType: types.EgressTypeVpc, VpcConnectorArn: arn}}
	with, without := a.MustCreate(t, input), a.MustCreate(t, fromImage("without", "egress:live", nil))
	_, apiPort, _ := net.SplitHostPort(a.API)
	reached := func(when string, isAttached bool) {
		t.Helper()
		if got := dialFrom(t, a, with, "tcp", database); (got == "connected") != isAttached {
			t.Errorf("%s the instance with the connector dials the database: %s", when, got)
		}
		if got := dialFrom(t, a, without, "tcp", database); got == "connected" {
			t.Errorf("%s the instance without a connector reaches the database", when)
		}
	}
	reached("at first", true)
	machine := plugIn(t, made)
	if got := dialFrom(t, a, with, "tcp", machine); got != "connected" {
		t.Errorf("the instance with the connector dials a machine of the network: %s", got)
	}
	if got := dialFrom(t, a, without, "tcp", machine); got == "connected" {
		t.Error("the instance without a connector reaches a machine of the network")
	}
	for what, address := range map[string]string{
		"the API": net.JoinHostPort(made.HostAddress, apiPort), "another port": listenAt(t, net.JoinHostPort(made.HostAddress, "0")),
		"the other service": without.WantOneInstance(t).Address,
	} {
		if got := dialFrom(t, a, with, "tcp", address); got == "connected" {
			t.Errorf("the instance with the connector reaches %s at %s", what, address)
		}
	}
	if outcome := a.Command(t, "network", "delete", "db"); outcome.Code != 1 || !strings.Contains(outcome.Err, "VPC connector lower") {
		t.Errorf("a network in use is deleted: %+v", outcome)
	}

	a.Kill9(t)
	a.Restart(t)
	reached("after a crash", true)
	with.MustDeploy(t)
	reached("after a deployment", true)

	a.Down(t)
	if _, err := net.InterfaceByName(made.Bridge); err == nil {
		t.Errorf("the bridge %s is left", made.Bridge)
	}
	a.Restart(t)
	awaitAnswer(t, a, with, without)
	reached("after apron was down", true)

	updated, err := a.SDK().UpdateService(t.Context(), &apprunner.UpdateServiceInput{
		ServiceArn:           &with.ARN,
		NetworkConfiguration: &types.NetworkConfiguration{EgressConfiguration: &types.EgressConfiguration{EgressType: types.EgressTypeDefault}},
	})
	if err != nil {
		t.Fatal(err)
	}
	with.WantOperation(t, *updated.OperationId, "SUCCEEDED")
	reached("without its connector", false)
	if _, err := a.SDK().DeleteVpcConnector(t.Context(), &apprunner.DeleteVpcConnectorInput{VpcConnectorArn: arn}); err != nil {
		t.Error(err)
	}
	a.MustCommand(t, "network", "delete", "db")
	if _, err := net.InterfaceByName(made.Bridge); err == nil {
		t.Errorf("the bridge %s is left of a network that was deleted", made.Bridge)
	}
}

// freePort is a port that nothing listens on.
func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// listenAt is the address of a server of the host, which goes on listening while its address comes and goes.
func listenAt(t *testing.T, address string) string {
	t.Helper()
	listener, err := net.Listen("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

// awaitAnswer waits until services answer that start with apron.
func awaitAnswer(t *testing.T, a *apron.Apron, services ...*apron.Service) {
	t.Helper()
	for _, service := range services {
		for deadline := time.Now().Add(time.Minute); a.Get(t, service.URL, "/").Status != 200; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s does not answer", service.Name)
			}
		}
	}
}
