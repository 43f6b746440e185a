package source

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// scpPattern is [user@]host:path, Git's short form of an ssh URL.
var scpPattern = regexp.MustCompile(`^(?:[A-Za-z0-9._][A-Za-z0-9._-]*@)?([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]):[^:\x00-\x1f]`)

// gitPorts are the ports that Git's URLs mean when they name none.
var gitPorts = map[string]string{"https": "443", "http": "80", "ssh": "22"}

// IsAtHost says whether a repository's URL leads to host, which is HOST or HOST:PORT. HOST alone means the port of https
// or of ssh, and never plain http: on its way everyone could read the credentials. Whoever names a port has chosen.
func IsAtHost(repository, host string) bool {
	scheme, name, port := gitPlace(repository)
	wantName, wantPort := splitHost(host)
	if scheme == "" || name == "" || !strings.EqualFold(name, wantName) {
		return false
	}
	if wantPort == "" {
		return scheme != "http" && port == gitPorts[scheme]
	}
	return port == wantPort
}

// IsSSH says whether a repository's URL is fetched by ssh.
func IsSSH(repository string) bool {
	scheme, _, _ := gitPlace(repository)
	return scheme == "ssh"
}

// gitPlace returns where a repository's URL leads, by https, http or ssh; scheme is empty for a path and for what is no URL.
func gitPlace(repository string) (scheme, name, port string) {
	if !strings.Contains(repository, "://") {
		if match := scpPattern.FindStringSubmatch(repository); match != nil {
			return "ssh", strings.Trim(match[1], "[]"), gitPorts["ssh"]
		}
		return "", "", ""
	}
	parsed, err := url.Parse(repository)
	if err != nil {
		return "", "", ""
	}
	scheme = parsed.Scheme
	if scheme == "git+ssh" || scheme == "ssh+git" {
		scheme = "ssh"
	}
	if gitPorts[scheme] == "" {
		return "", "", ""
	}
	if port = parsed.Port(); port == "" {
		port = gitPorts[scheme]
	}
	return scheme, parsed.Hostname(), port
}

// splitHost takes HOST or HOST:PORT apart. An IPv6 address is in brackets.
func splitHost(host string) (name, port string) {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return strings.Trim(host, "[]"), ""
	}
	return name, port
}

var hostPattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)

// CheckHost says why a text is neither HOST nor HOST:PORT.
func CheckHost(host string) error {
	name, port := splitHost(host)
	if rest, isV6 := strings.CutPrefix(host, "["); isV6 {
		ip, err := netip.ParseAddr(name)
		if err != nil || !ip.Is6() || ip.Zone() != "" || !strings.HasPrefix(rest, name+"]") {
			return errors.New("want an IPv6 address in brackets, such as [fd00::1]:3000")
		}
	} else if !hostPattern.MatchString(name) || len(name) > 253 {
		return errors.New("want a host's name or address and perhaps a port, such as git.example.com or git.example.com:8443, without a scheme and a path")
	}
	if number, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || number == 0 || strconv.FormatUint(number, 10) != port) {
		return errors.New("want a port from 1 to 65535")
	}
	if strings.HasSuffix(host, ":") {
		return errors.New("want a port after the colon")
	}
	return nil
}
