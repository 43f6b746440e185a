package platform

import (
	"slices"
	"testing"
)

func TestASubnetStandsForOneNetwork(t *testing.T) {
	networks := []HostNetwork{
		{Name: "rest", SubnetIDs: []string{AnySubnet}},
		{Name: "db", SubnetIDs: []string{"subnet-1", "subnet-cache"}},
		{Name: "cache"},
	}
	for _, c := range []struct {
		what, id, want string
	}{
		{"its id", "subnet-1", "db"},
		{"its name", "subnet-db", "db"},
		{"an id before a name", "subnet-cache", "db"},
		{"any other", "subnet-9", "rest"},
	} {
		found, unmapped := ResolveSubnets(networks, []string{c.id})
		if len(found) != 1 || found[0].Name != c.want || len(unmapped) > 0 {
			t.Errorf("%s: %s stands for %v, want %s", c.what, c.id, found, c.want)
		}
	}
	found, unmapped := ResolveSubnets(networks[1:], []string{"subnet-cache", "x", "subnet-1", "y"})
	if len(found) != 1 || !slices.Equal(unmapped, []string{"x", "y"}) {
		t.Errorf("several subnets stand for %v, and nothing for %v", found, unmapped)
	}
}
