package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/smithy-go"
	"github.com/spf13/cobra"

	"github.com/apron-run/apron/cmd/apron/internal/client"
	"github.com/apron-run/apron/cmd/apron/internal/view"
)

func newNetwork(s *shell) *cobra.Command {
	command := &cobra.Command{
		Use: "network", Short: "The networks of this machine that VPC connectors name",
		Long: "A VPC connector names subnets, and a subnet's id stands for a network of this machine: a bridge, with what is\n" +
			"plugged into it. Instances of a service with the connector are attached to it besides their own network, so that\n" +
			"they reach a database there, and instances of other services do not.",
		Example: "  apron network create db --subnet-id subnet-0a1b2c3d\n  apron network list\n  apron network delete db",
		RunE: func(command *cobra.Command, given []string) error {
			if len(given) == 0 {
				return command.Help()
			}
			return &usageError{fmt.Errorf("there is no command %q", "network "+given[0]), "See `apron network --help`."}
		},
	}
	command.AddCommand(newNetworkCreate(s), newNetworkList(s), newNetworkUpdate(s), newNetworkDelete(s))
	s.settings.bindData(command.PersistentFlags())
	return command
}

func newNetworkCreate(s *shell) *cobra.Command {
	var wanted client.Network
	command := &cobra.Command{
		Use: "create NAME", Short: "Make a network, or take a bridge that is there",
		Long: "create makes a bridge on a free private subnet, or takes the one that --bridge names, which apron never removes.\n" +
			"Half of the subnet is for what you plug into the bridge, the other half for instances.\n\n" +
			"The network answers to subnet-NAME and to each --subnet-id in VPC connectors. --subnet-id '*' stands for every id\n" +
			"that no network has: with it, configurations with subnets of AWS work as they are.\n\n" +
			"Of this machine itself, instances reach the ports that --port names, at the machine's address on the bridge.",
		Example: "  apron network create db --subnet-id subnet-0a1b2c3d --subnet-id subnet-4e5f6071 --port 5432\n" +
			"  apron network create lan --bridge br0 --addresses 192.168.1.192/27\n" +
			"  apron network create vpc --subnet-id '*'",
		Args: args(cobra.ExactArgs(1), "the network's name"),
		RunE: func(command *cobra.Command, given []string) error {
			wanted.Name = given[0]
			connected, err := s.connect()
			if err != nil {
				return err
			}
			made, err := connected.CreateNetwork(command.Context(), wanted)
			if err != nil {
				return err
			}
			return s.printNetwork(made)
		},
	}
	flags := command.Flags()
	flags.StringSliceVar(&wanted.SubnetIDs, "subnet-id", nil, "`ID` of a subnet that stands for the network; may be repeated")
	flags.StringVar(&wanted.Bridge, "bridge", "", "a `BRIDGE` that is there already; default is one of apron's own")
	flags.StringVar(&wanted.Subnet, "subnet", "", "`CIDR` of the network; default is the bridge's, or a free one")
	flags.StringVar(&wanted.Addresses, "addresses", "", "the part of the subnet, as `CIDR`, that instances take addresses from; default is its upper half, and --bridge needs it")
	flags.IntSliceVar(&wanted.Ports, "port", nil, "TCP `PORT` of this machine that instances may reach by the network; may be repeated")
	return command
}

func newNetworkUpdate(s *shell) *cobra.Command {
	var edited client.Network
	command := &cobra.Command{
		Use: "update NAME", Short: "Replace the subnets' ids or the ports of a network",
		Long:    "update replaces the lists that are given. A subnet's id that a VPC connector uses is kept.",
		Example: "  apron network update db --subnet-id subnet-0a1b2c3d,subnet-4e5f6071\n  apron network update db --port 5432,6379",
		Args:    args(cobra.ExactArgs(1), "the network's name"),
		RunE: func(command *cobra.Command, given []string) error {
			if !command.Flags().Changed("subnet-id") && !command.Flags().Changed("port") {
				return &usageError{errors.New("nothing to change: give --subnet-id or --port"), "See `apron network update --help`."}
			}
			edited.Name = given[0]
			edited.SubnetIDs = withoutEmpty(edited.SubnetIDs)
			edited.Ports = withoutEmpty(edited.Ports)
			connected, err := s.connect()
			if err != nil {
				return err
			}
			updated, err := connected.UpdateNetwork(command.Context(), edited)
			if err != nil {
				return adviseNetwork(err)
			}
			return s.printNetwork(updated)
		},
	}
	flags := command.Flags()
	flags.StringSliceVar(&edited.SubnetIDs, "subnet-id", nil, "all `ID`s of subnets that stand for the network; empty for none")
	flags.IntSliceVar(&edited.Ports, "port", nil, "all TCP `PORT`s of this machine that instances may reach by it; 0 for none")
	return command
}

// withoutEmpty leaves nil, which changes nothing, apart from a list of nothing.
func withoutEmpty[T comparable](list []T) []T {
	var empty T
	return slices.DeleteFunc(list, func(each T) bool { return each == empty })
}

func newNetworkList(s *shell) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the networks",
		Example: "  apron network list\n  apron network list --output json",
		Args:    args(cobra.NoArgs, "no arguments"),
		RunE: func(command *cobra.Command, _ []string) error {
			connected, err := s.connect()
			if err != nil {
				return err
			}
			networks, err := connected.Networks(command.Context())
			if err != nil {
				return err
			}
			if s.isJSON() {
				return view.JSON(s.out, append([]client.Network{}, networks...))
			}
			if len(networks) == 0 {
				_, err := fmt.Fprintln(s.out, "There is no network yet. Make one with `apron network create NAME`.")
				return err
			}
			var rows [][]string
			for _, each := range networks {
				rows = append(rows, []string{
					each.Name, each.Bridge, each.Subnet, each.Addresses, strings.Join(each.SubnetIDs, ","), portList(each.Ports),
					strings.Join(each.VPCConnectors, ","),
				})
			}
			return view.Table(s.out, []string{"NAME", "BRIDGE", "SUBNET", "INSTANCES", "SUBNET IDS", "PORTS", "CONNECTORS"}, rows)
		},
	}
}

func newNetworkDelete(s *shell) *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Remove a network that no VPC connector uses",
		Long:    "delete removes the network, with its bridge if that is apron's own. What you have plugged in is cut off.",
		Example: "  apron network delete db",
		Args:    args(cobra.ExactArgs(1), "the network's name"),
		RunE: func(command *cobra.Command, given []string) error {
			connected, err := s.connect()
			if err != nil {
				return err
			}
			deleted, err := connected.DeleteNetwork(command.Context(), given[0])
			if err != nil {
				return adviseNetwork(err)
			}
			if s.isJSON() {
				return view.JSON(s.out, deleted)
			}
			_, err = fmt.Fprintf(s.out, "%s is deleted.\n", deleted.Name)
			return err
		},
	}
}

// adviseNetwork says where to look for a network that is not there.
func adviseNetwork(err error) error {
	var api smithy.APIError
	if errors.As(err, &api) && strings.HasPrefix(api.ErrorCode(), "ResourceNotFound") {
		return advise("`apron network list` lists those that are there.", "%s", api.ErrorMessage())
	}
	return err
}

func (s *shell) printNetwork(network client.Network) error {
	if s.isJSON() {
		return view.JSON(s.out, network)
	}
	here := network.HostAddress
	if here != "" {
		here += ", ports open to instances: " + cmp.Or(portList(network.Ports), "none")
	}
	return view.Fields(s.out, [][2]string{
		{"Name", network.Name},
		{"Bridge", network.Bridge},
		{"Subnet", network.Subnet},
		{"Instances take", network.Addresses},
		{"This machine", here},
		{"Subnet ids", strings.Join(append([]string{"subnet-" + network.Name}, network.SubnetIDs...), ", ")},
	})
}

func portList(ports []int) string {
	texts := make([]string, len(ports))
	for i, port := range ports {
		texts[i] = strconv.Itoa(port)
	}
	return strings.Join(texts, ",")
}
