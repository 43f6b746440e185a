package doctor

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/apron-run/apron/internal/platform"
)

// checkNetworks looks for the bridges that networks of the host have borrowed. apron's own come with it.
func checkNetworks(_ context.Context, m *Machine) Result {
	path := filepath.Join(m.DataDir, "networks.json")
	content, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return ok("No network of this machine was made for VPC connectors.")
	}
	var networks []platform.HostNetwork
	if err == nil {
		err = json.Unmarshal(content, &networks)
	}
	if err != nil {
		return warn("Look at the file; without it, make the networks again.", "The networks for VPC connectors cannot be read: %v.", err)
	}
	var missing []string
	for _, each := range networks {
		if _, err := os.Stat(m.path("/sys/class/net/" + each.Bridge + "/bridge")); each.IsBorrowed && err != nil {
			missing = append(missing, each.Bridge+" of the network "+each.Name)
		}
	}
	if len(missing) > 0 {
		return warn("Make them again, or run `apron network delete`.",
			"Bridges are not there that VPC connectors lead to: %s.", strings.Join(missing, ", "))
	}
	return ok("The bridges of all networks for VPC connectors are there.")
}
