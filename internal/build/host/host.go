// Package host says how this machine reaches package registries, so that recipes and builds reach them the same way.
//
// A machine behind a company's mirror, proxy or certificate authority is set up once, in the places its tools read: the
// environment, npm's and Go's own configuration, apt's sources. Discover reads those places; nothing found there is ever
// written to an image or a log, because a registry's URL may carry a password.
package host

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	// DefaultNPMRegistry and DefaultGoProxy are what npm and Go use on a machine where nobody chose.
	DefaultNPMRegistry = "https://registry.npmjs.org/"
	DefaultGoProxy     = "https://proxy.golang.org,direct"
	// discoverTimeout bounds what asking the installed tools may take.
	discoverTimeout = 10 * time.Second
	// trustBundle is where Debian and its kin keep the certificate authorities that the machine trusts.
	trustBundle = "/etc/ssl/certs/ca-certificates.crt"
)

// Settings is how this machine reaches package registries.
type Settings struct {
	// NPMRegistry is the base URL of the npm registry.
	NPMRegistry string
	// GoProxy is GOPROXY's value.
	GoProxy string
	// DebianMirror and DebianSecurity are the base URLs of the Debian archive; empty means Debian's own.
	DebianMirror   string
	DebianSecurity string
	// AptProxy is apt's HTTP proxy, or empty.
	AptProxy string
	// TakesOldLists says that apt takes lists of packages that are past their date, as those of a mirror that was frozen are.
	TakesOldLists bool
	// Proxy is the HTTP proxy of the environment.
	Proxy Proxy
	// TrustBundle is the file with the certificate authorities that the machine trusts, or empty.
	TrustBundle string
	// BuildEnvironment holds the variables that a build's tools need to use the same registries. Values may be secret.
	BuildEnvironment map[string]string
}

// Proxy is an HTTP proxy as the environment names it.
type Proxy struct{ HTTP, HTTPS, No, All string }

// forwarded are the variables of apron's own environment that mean the same inside a build. Those that name files of the
// machine (PIP_FIND_LINKS, SSL_CERT_FILE, …) are not among them.
var forwarded = []string{
	"GOPROXY", "GONOPROXY", "GONOSUMDB", "GOPRIVATE", "GOSUMDB", "GOINSECURE", "GOVCS",
	"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT", "UV_INDEX_URL", "UV_DEFAULT_INDEX",
	"YARN_REGISTRY", "COREPACK_NPM_REGISTRY",
}

// Discover asks the environment and the installed tools. A tool that is missing or fails leaves its default.
func Discover(ctx context.Context) Settings {
	ctx, cancel := context.WithTimeout(ctx, discoverTimeout)
	defer cancel()
	settings := Settings{
		NPMRegistry:      DefaultNPMRegistry,
		GoProxy:          DefaultGoProxy,
		BuildEnvironment: map[string]string{},
		Proxy: Proxy{
			HTTP: lookup("HTTP_PROXY", "http_proxy"), HTTPS: lookup("HTTPS_PROXY", "https_proxy"),
			No: lookup("NO_PROXY", "no_proxy"), All: lookup("ALL_PROXY", "all_proxy"),
		},
	}
	for _, name := range forwarded {
		if value := os.Getenv(name); value != "" {
			settings.BuildEnvironment[name] = value
		}
	}
	settings.discoverNPM(ctx)
	settings.discoverGo(ctx)
	settings.discoverDebian(ctx)
	if _, err := os.Stat(trustBundle); err == nil {
		settings.TrustBundle = trustBundle
	}
	return settings
}

func (s *Settings) discoverNPM(ctx context.Context) {
	registry := lookup("NPM_CONFIG_REGISTRY", "npm_config_registry")
	if registry == "" {
		registry = strings.TrimSpace(output(ctx, "npm", "config", "get", "registry"))
	}
	if _, err := url.ParseRequestURI(registry); err != nil {
		return
	}
	s.NPMRegistry = strings.TrimSuffix(registry, "/") + "/"
	if s.NPMRegistry != DefaultNPMRegistry {
		s.BuildEnvironment["NPM_CONFIG_REGISTRY"] = s.NPMRegistry
	}
}

// discoverGo reads what `go env -w` wrote, which is not in the environment.
func (s *Settings) discoverGo(ctx context.Context) {
	var written map[string]string
	if json.Unmarshal([]byte(output(ctx, "go", "env", "-json", "GOPROXY", "GONOPROXY", "GONOSUMDB", "GOPRIVATE", "GOSUMDB")), &written) == nil {
		for name, value := range written {
			if value != "" && !isGoDefault(name, value) {
				s.BuildEnvironment[name] = value
			}
		}
	}
	if proxy := s.BuildEnvironment["GOPROXY"]; proxy != "" {
		s.GoProxy = proxy
	}
}

func isGoDefault(name, value string) bool {
	return name == "GOPROXY" && value == DefaultGoProxy || name == "GOSUMDB" && value == "sum.golang.org"
}

// discoverDebian reads apt's sources as apt itself understands them. On another distribution nothing is found.
func (s *Settings) discoverDebian(ctx context.Context) {
	targets := output(ctx, "apt-get", "indextargets", "--format", "$(LABEL)|$(SITE)", "Created-By: Packages")
	for line := range strings.Lines(targets) {
		label, site, _ := strings.Cut(strings.TrimSpace(line), "|")
		parsed, err := url.Parse(site)
		if err != nil || parsed.User != nil || parsed.Scheme == "" {
			continue // an address with a password would end up in the image's own sources
		}
		switch {
		case label == "Debian" && s.DebianMirror == "":
			s.DebianMirror = site
		case label == "Debian-Security" && s.DebianSecurity == "":
			s.DebianSecurity = site
		}
	}
	s.AptProxy = aptOption(ctx, "Acquire::http::Proxy")
	s.TakesOldLists = aptOption(ctx, "Acquire::Check-Valid-Until") == "false"
}

// aptOption returns a setting of apt, or nothing.
func aptOption(ctx context.Context, name string) string {
	_, value, _ := strings.Cut(strings.TrimSpace(output(ctx, "apt-config", "shell", "VALUE", name)), "=")
	return strings.Trim(value, "'\"")
}

// output returns what a tool prints, or nothing when it is missing or fails.
func output(ctx context.Context, name string, args ...string) string {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = "/" // npm and go read settings of the folder they run in
	command.WaitDelay = time.Second
	var stdout bytes.Buffer
	command.Stdout = &stdout
	if command.Run() != nil {
		return ""
	}
	return stdout.String()
}

func lookup(names ...string) string {
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			return value
		}
	}
	return ""
}
