package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/api"
	"github.com/apron-run/apron/internal/platform"
)

// memory remembers networks and makes none: that takes root.
type memory struct{ networks []platform.HostNetwork }

func (m *memory) HostNetworks() []platform.HostNetwork { return m.networks }

func (m *memory) CreateHostNetwork(_ context.Context, wanted platform.HostNetwork) (platform.HostNetwork, error) {
	if m.place(wanted.Name) >= 0 {
		return wanted, platform.Explain(nil, "There is already a network %s.", wanted.Name)
	}
	wanted.IsBorrowed = wanted.Bridge != ""
	if !wanted.IsBorrowed {
		wanted.Bridge = "apr0"
	}
	if !wanted.Subnet.IsValid() {
		wanted.Subnet, wanted.Addresses = netip.MustParsePrefix("10.20.0.0/24"), netip.MustParsePrefix("10.20.0.128/25")
	}
	wanted.HostAddress = wanted.Subnet.Addr().Next()
	m.networks = append(m.networks, wanted)
	return wanted, nil
}

func (m *memory) UpdateHostNetwork(_ context.Context, wanted platform.HostNetwork) (platform.HostNetwork, error) {
	m.networks[m.place(wanted.Name)] = wanted
	return wanted, nil
}

func (m *memory) DeleteHostNetwork(_ context.Context, name string) error {
	m.networks = slices.Delete(m.networks, m.place(name), m.place(name)+1)
	return nil
}

func (m *memory) place(name string) int {
	return slices.IndexFunc(m.networks, func(each platform.HostNetwork) bool { return each.Name == name })
}

func newNetworkedWorld(t *testing.T) *world {
	t.Helper()
	return newWorld(t, func(config *api.Config) { config.Networks = &memory{} })
}

// extension sends one of apron's own actions and returns the answer's text.
func (w *world) extension(action, body string, status int) string {
	w.t.Helper()
	got := w.send("Apron."+action, body, nil)
	if got.status != status {
		w.t.Errorf("%s %s answers %d %s, want %d", action, body, got.status, got.body, status)
	}
	return got.body
}

func TestANetworkIsMadeListedUpdatedAndDeleted(t *testing.T) {
	w := newNetworkedWorld(t)
	const made = `{"Name":"db","SubnetIds":["subnet-1"],"Bridge":"apr0","IsBorrowed":false,"Subnet":"10.20.0.0/24",` +
		`"Addresses":"10.20.0.128/25","HostAddress":"10.20.0.1","Ports":[5432],"VpcConnectors":[]}`
	for _, each := range []struct{ action, body, want string }{
		{"ListNetworks", `{}`, `{"Networks":[]}`},
		{"CreateNetwork", `{"Name":"db","SubnetIds":["subnet-1"],"Ports":[5432]}`, `{"Network":` + made + `}`},
		{"ListNetworks", `{}`, `{"Networks":[` + made + `]}`},
		{"UpdateNetwork", `{"Name":"db","Ports":[]}`, `{"Network":` + strings.Replace(made, "5432", "", 1) + `}`},
		{"UpdateNetwork", `{"Name":"db","SubnetIds":["*"]}`, `{"Network":` + strings.NewReplacer("5432", "", "subnet-1", "*").Replace(made) + `}`},
		{"DeleteNetwork", `{"Name":"db"}`, `{"Network":` + strings.NewReplacer("5432", "", "subnet-1", "*").Replace(made) + `}`},
		{"ListNetworks", `{}`, `{"Networks":[]}`},
	} {
		if got := w.extension(each.action, each.body, http.StatusOK); got != each.want {
			t.Errorf("%s %s answers\n%s\nwant\n%s", each.action, each.body, got, each.want)
		}
	}
}

func TestANetworkIsRefusedWithTheReason(t *testing.T) {
	w := newNetworkedWorld(t)
	w.extension("CreateNetwork", `{"Name":"db"}`, http.StatusOK)
	for _, each := range []struct{ action, body, code, says string }{
		{"CreateNetwork", `{"Name":"db"}`, "InvalidRequestException", "already a network db"},
		{"CreateNetwork", `{"Name":"-db"}`, "InvalidRequestException", "Name"},
		{"CreateNetwork", `{"Name":"../db"}`, "InvalidRequestException", "Name"},
		{"CreateNetwork", `{"Name":"x","SubnetIds":["a b"]}`, "InvalidRequestException", "SubnetIds[0]"},
		{"CreateNetwork", `{"Name":"x","SubnetIds":["a","a"]}`, "InvalidRequestException", "SubnetIds[1]"},
		{"CreateNetwork", `{"Name":"x","Ports":[0]}`, "InvalidRequestException", "Ports"},
		{"CreateNetwork", `{"Name":"x","Ports":[70000]}`, "InvalidRequestException", "Ports"},
		{"CreateNetwork", `{"Name":"x","Ports":[1,1]}`, "InvalidRequestException", "Ports[1]"},
		{"CreateNetwork", `{"Name":"x","Subnet":"10.20.0.0"}`, "InvalidRequestException", "Subnet"},
		{"CreateNetwork", `{"Name":"x","Subnet":"10.20.0.300/24"}`, "InvalidRequestException", "Subnet"},
		{"CreateNetwork", `{"Name":"x","Bridge":"../../x"}`, "InvalidRequestException", "Bridge"},
		{"UpdateNetwork", `{"Name":"none"}`, "ResourceNotFoundException", "no network none"},
		{"DeleteNetwork", `{"Name":"none"}`, "ResourceNotFoundException", "no network none"},
	} {
		got := w.extension(each.action, each.body, http.StatusBadRequest)
		if !strings.Contains(got, `"`+each.code+`"`) || !strings.Contains(got, each.says) {
			t.Errorf("%s %s answers %s, want %s with %q", each.action, each.body, got, each.code, each.says)
		}
	}
}

func TestAConnectorsSubnetsStandForNetworks(t *testing.T) {
	w := newNetworkedWorld(t)
	const connector = `{"VpcConnectorName":"lower","Subnets":["subnet-1","subnet-2"]}`
	if why := w.refused("CreateVpcConnector", connector, "InvalidRequestException", 400); !strings.Contains(why, "`apron network create NAME --subnet-id subnet-1`") {
		t.Errorf("the refusal does not say what to do: %s", why)
	}
	w.extension("CreateNetwork", `{"Name":"1"}`, http.StatusOK) // is subnet-1 by its name
	if why := w.refused("CreateVpcConnector", connector, "InvalidRequestException", 400); strings.Contains(why, "subnet-1") || !strings.Contains(why, "subnet-2") {
		t.Errorf("the refusal names other subnets: %s", why)
	}
	w.extension("CreateNetwork", `{"Name":"rest","SubnetIds":["*"]}`, http.StatusOK)
	arn := member(t, w.call("CreateVpcConnector", connector)["VpcConnector"], "VpcConnectorArn")

	var listed struct {
		Networks []struct {
			Name          string
			VPCConnectors []string `json:"VpcConnectors"`
		}
	}
	if err := json.Unmarshal([]byte(w.extension("ListNetworks", `{}`, http.StatusOK)), &listed); err != nil {
		t.Fatal(err)
	}
	for _, network := range listed.Networks {
		if !slices.Equal(network.VPCConnectors, []string{"lower"}) {
			t.Errorf("the network %s serves %v", network.Name, network.VPCConnectors)
		}
	}
	for action, body := range map[string]string{
		"DeleteNetwork": `{"Name":"1"}`, // the other would stand for its subnet
		"UpdateNetwork": `{"Name":"rest","SubnetIds":["subnet-3"]}`,
	} {
		if got := w.extension(action, body, http.StatusBadRequest); !strings.Contains(got, "VPC connector lower") {
			t.Errorf("%s %s of a network in use: %s", action, body, got)
		}
	}
	w.extension("UpdateNetwork", `{"Name":"rest","SubnetIds":["subnet-2"]}`, http.StatusOK)
	w.call("DeleteVpcConnector", fmt.Sprintf(`{"VpcConnectorArn":%q}`, arn))
	w.extension("DeleteNetwork", `{"Name":"1"}`, http.StatusOK)
	w.extension("DeleteNetwork", `{"Name":"rest"}`, http.StatusOK)
}
