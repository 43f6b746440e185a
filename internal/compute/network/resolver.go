package network

import (
	"bufio"
	"net/netip"
	"os"
	"strings"
)

// resolverFiles are read in this order until one names a server that can be reached from a namespace of its own. The
// second is where systemd-resolved keeps the servers behind its stub on 127.0.0.53.
var resolverFiles = []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"}

// ResolvConf is the text of /etc/resolv.conf for instances and builds: the host's resolvers, without those on the host's
// loopback, which are not theirs to reach.
func ResolvConf() string { return resolvConf(resolverFiles) }

func resolvConf(files []string) string {
	var text strings.Builder
	for _, path := range files {
		text.Reset()
		if copyResolvers(&text, path) {
			break
		}
	}
	return text.String()
}

// copyResolvers writes what path says to text, and reports whether it names a server that can be reached.
func copyResolvers(text *strings.Builder, path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	hasServer := false
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || strings.HasPrefix(fields[0], "#") || strings.HasPrefix(fields[0], ";") {
			continue
		}
		if fields[0] == "nameserver" {
			address, err := netip.ParseAddr(fields[1])
			if err != nil || address.IsLoopback() {
				continue
			}
			hasServer = true
		}
		text.WriteString(strings.Join(fields, " ") + "\n")
	}
	return hasServer
}
