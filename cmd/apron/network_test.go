package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNetworksAreMadeListedUpdatedAndDeleted(t *testing.T) {
	fake := newFakeAPI(t)
	apron(t, "network", "list").expect(t, 0, "There is no network yet", "apron network create NAME")
	apron(t, "network", "create", "db", "--subnet-id", "subnet-1,subnet-2", "--subnet-id", "*", "--port", "5432").
		expect(t, 0, "subnet-db, subnet-1, subnet-2, *", "10.20.0.1, ports open to instances: 5432")
	apron(t, "network", "create", "lan", "--bridge", "br0", "--subnet", "10.21.0.0/24", "--addresses", "10.21.0.128/25").
		expect(t, 0, "ports open to instances: none")
	want := []map[string]any{
		{"Name": "db", "SubnetIds": []any{"subnet-1", "subnet-2", "*"}, "Ports": []any{5432.0}},
		{"Name": "lan", "Bridge": "br0", "Subnet": "10.21.0.0/24", "Addresses": "10.21.0.128/25"},
	}
	if diff := cmp.Diff(want, fake.did("CreateNetwork")); diff != "" {
		t.Errorf("what is asked for differs:\n%s", diff)
	}
	apron(t, "network", "list").expect(t, 0, "NAME", "db", "subnet-1,subnet-2,*", "5432", "lan", "br0")
	apron(t, "network", "list", "--output", "json").expect(t, 0, `"SubnetIds"`)
	apron(t, "network", "update", "db", "--subnet-id", "", "--port", "0").expect(t, 0, "subnet-db\n")
	apron(t, "network", "update", "db", "--port", "80").expect(t, 0, "80")
	want = []map[string]any{
		{"Name": "db", "SubnetIds": []any{}, "Ports": []any{}},
		{"Name": "db", "Ports": []any{80.0}},
	}
	if diff := cmp.Diff(want, fake.did("UpdateNetwork")); diff != "" {
		t.Errorf("what is changed differs:\n%s", diff)
	}
	apron(t, "network", "delete", "db").expect(t, 0, "db is deleted.")
	fake.refuse["DeleteNetwork"] = "ResourceNotFoundException: There is no network db."
	apron(t, "network", "delete", "db").expect(t, 1, "There is no network db.", "`apron network list`")
	fake.refuse["DeleteNetwork"] = "InvalidRequestException: The network is what a subnet stands for."
	apron(t, "network", "delete", "lan").expect(t, 1, "stands for")
}
