package bench

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/vishvananda/netlink"
)

// The two ends of the link between this machine and docker's namespace. The addresses are of those set aside for
// documentation, which lead nowhere else.
const (
	ourEnd, dockersEnd = "203.0.113.1/30", "203.0.113.2/30"
	registryAddress    = "203.0.113.2:4873"
	ourLink            = "bench1"
)

// listen links docker's namespace with this machine's, and listens in the former: docker's steps and apron's both reach it.
func (d *docker) listen(b *testing.B) (listener net.Listener) {
	b.Helper()
	ours, err := os.Open("/proc/thread-self/ns/net") // of the process it might be docker's: the first thread may be inside
	if err != nil {
		b.Fatal(err)
	}
	defer ours.Close()
	if err := isFree(dockersEnd); err != nil {
		b.Fatal(err)
	}
	d.inside(func() {
		veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "bench0"}, PeerName: ourLink, PeerNamespace: netlink.NsFd(int(ours.Fd()))}
		if err = netlink.LinkAdd(veth); err != nil {
			return
		}
		if err = address(veth.Name, dockersEnd); err == nil {
			listener, err = net.Listen("tcp4", registryAddress)
		}
	})
	if err == nil {
		err = address(ourLink, ourEnd)
	}
	if err != nil {
		b.Fatalf("link docker's namespace: %v", err)
	}
	return listener
}

// isFree makes sure that no network of this machine has the addresses: they would be taken from it.
func isFree(cidr string) error {
	ip, network, err := net.ParseCIDR(cidr)
	if err != nil {
		return err
	}
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, each := range addresses {
		if each.Contains(ip) || network.Contains(each.IP) {
			return fmt.Errorf("this machine has the address %s already, where the benchmark wants %s", each.IPNet, cidr)
		}
	}
	return nil
}

func address(name, cidr string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	parsed, err := netlink.ParseAddr(cidr)
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, parsed); err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

// importRoot makes an image of what a process in an instance sees, without the app.
func (d *docker) importRoot(b *testing.B, pid int, image string) {
	b.Helper()
	archive := exec.Command("tar", "--create", "--one-file-system", "--exclude=./app", "--exclude=./etc/resolv.conf",
		fmt.Sprintf("--directory=/proc/%d/root", pid), ".")
	archive.Stderr = os.Stderr
	output, err := archive.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	load := d.command(b.Context(), "import", "--change", "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "-", image)
	load.Stdin = output
	if err := archive.Start(); err != nil {
		b.Fatal(err)
	}
	if printed, err := load.CombinedOutput(); err != nil {
		b.Fatalf("docker import: %v\n%s", err, printed)
	}
	if err := archive.Wait(); err != nil {
		b.Fatalf("read the instance's files: %v", err)
	}
}

// build runs `docker build`.
func (d *docker) build(b *testing.B, dir, image string, isFirst bool) {
	b.Helper()
	arguments := []string{"build", "--quiet", "--tag", image, dir}
	if isFirst {
		arguments = append(arguments, "--no-cache")
	}
	d.must(b, arguments...)
}
