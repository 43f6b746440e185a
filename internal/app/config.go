package app

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apron-run/apron/internal/api"
	"github.com/apron-run/apron/internal/build/catalogue"
	"github.com/apron-run/apron/internal/certs"
	"github.com/apron-run/apron/internal/deploy"
	"github.com/apron-run/apron/internal/operation"
	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/store/postgres"
)

// Config is how one apron is set up. Two aprons with different data directories and addresses run side by side.
type Config struct {
	// DataDir holds all that this apron keeps; an absolute path.
	DataDir string
	// APIAddr takes the API, the Git server and the registry; HTTPAddr and HTTPSAddr take the services' traffic. HTTPSAddr is
	// HTTPSOff or empty where there is no HTTPS.
	APIAddr, HTTPAddr, HTTPSAddr string
	// PrivateHTTPAddr takes the traffic of services that are not publicly accessible.
	PrivateHTTPAddr string
	// CertsDir is a folder of certificates for HTTPS, or empty.
	CertsDir string
	// TrustedProxies are the networks and addresses, separated by commas, of proxies whose X-Forwarded headers are believed.
	TrustedProxies string
	// AccessLog is on or off: whether there is a line about each request in accessLog.
	AccessLog string
	// Resolver is the DNS server that custom domains' records are looked for at; empty means those of the machine.
	Resolver string
	// Domain is what the host names of services end with.
	Domain string
	// Region and Account are part of every ARN.
	Region, Account string
	// Database is the URL of a PostgreSQL database; empty means SQLite in DataDir. It may hold a password, so it is never shown.
	Database string
	// TakeDatabase is the id of an apron that is gone for good, whose Database this one takes over.
	TakeDatabase string
	// Compute names the backend that runs instances: containerd.
	Compute string
	// Quotas is what api.Quotas reads, separated by commas: apprunner, or NAME=NUMBER. Empty means no quotas.
	Quotas string
	// Deadlines is what operation.Deadlines reads, separated by commas: NAME=DURATION. What is not there has its default.
	Deadlines string
	// DiskLimits is what deploy.DiskLimits reads, separated by commas: NAME=PERCENT. What is not there has its default.
	DiskLimits string
	// Builds is how many builds run at a time; more wait. BuildMemory is what each may use, such as 4G; empty means a share
	// of the machine's.
	Builds, BuildMemory string
	// Revisions is how many revisions of a service stay, with their images.
	Revisions string
	// Poll is how often the sources of services with automatic deployments are looked at, such as 60s; 0 looks at none.
	Poll string
	// WebhookURL is the URL under which other hosts reach the API address, such as https://deploy.example.com; empty means
	// that of APIAddr.
	WebhookURL string
	// CacheDir holds the base images that were assembled on this machine or pulled, shared by every apron on it.
	CacheDir string
	// Runtimes is a file that is laid over the embedded catalogue of runtimes, or empty.
	Runtimes string
	// BinDir holds the daemons that apron runs as its children.
	BinDir string
}

// Default returns the settings that hold where nothing else was said.
func Default() Config {
	return Config{
		DataDir: "/var/lib/apron", CacheDir: "/var/cache/apron", BinDir: defaultBinDir(),
		APIAddr: "127.0.0.1:8700", HTTPAddr: ":8080", HTTPSAddr: ":8443", PrivateHTTPAddr: "127.0.0.1:8081",
		AccessLog: "on",
		Domain:    "apron.localhost", Region: "us-east-1", Account: "000000000000",
		Compute: "containerd", Builds: "2", Revisions: "10", Poll: "60s",
	}
}

// defaultBinDir is the folder of the running program: make builds the daemons beside it.
func defaultBinDir() string {
	program, err := os.Executable()
	if err != nil {
		return "bin"
	}
	return filepath.Dir(program)
}

// maxDataDir keeps DATA/run/NAME.sock within the 107 bytes that the kernel allows for a Unix socket's path.
const maxDataDir = 80

var (
	domainPattern  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
	regionPattern  = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]{1,2}$`)
	accountPattern = regexp.MustCompile(`^[0-9]{12}$`)
)

// Validate says everything that is wrong with the settings, each with what would be right.
func (c Config) Validate() error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if !filepath.IsAbs(c.DataDir) || filepath.Clean(c.DataDir) == "/" {
		problem("data directory %q: want an absolute path that is not /", c.DataDir)
	}
	if len(c.DataDir) > maxDataDir {
		problem("data directory %q: its path has %d bytes, and sockets in it allow at most %d", c.DataDir, len(c.DataDir), maxDataDir)
	}
	if !filepath.IsAbs(c.CacheDir) {
		problem("cache directory %q: want an absolute path", c.CacheDir)
	}
	addresses := []struct{ name, address string }{{"api", c.APIAddr}, {"http", c.HTTPAddr}, {"private-http", c.PrivateHTTPAddr}}
	if https := c.HTTPS(); https != "" {
		addresses = append(addresses, struct{ name, address string }{"https", https})
	}
	for _, a := range addresses {
		if err := checkAddress(a.address); err != nil {
			problem("%s address %q: %w", a.name, a.address, err)
		}
	}
	if private := portsOf(c.PrivateHTTPAddr); len(private) > 0 && slices.Contains(openPorts(c), private[0]) {
		problem("private-http address %q: want a port that is not that of http or https, because instances may reach those", c.PrivateHTTPAddr)
	}
	if host, _, err := net.SplitHostPort(c.Resolver); c.Resolver != "" && (err != nil || host == "" || checkAddress(c.Resolver) != nil) {
		problem("resolver %q: want the HOST:PORT of a DNS server, such as 192.0.2.53:53", c.Resolver)
	}
	if !domainPattern.MatchString(c.Domain) || len(c.Domain) > 200 {
		problem("domain %q: want a DNS name in lower case, such as apron.localhost", c.Domain)
	}
	if !regionPattern.MatchString(c.Region) {
		problem("region %q: want the form of an AWS region, such as us-east-1", c.Region)
	}
	if !accountPattern.MatchString(c.Account) {
		problem("account %q: want 12 digits", c.Account)
	}
	if _, ok := platform.ParsePrefixes(c.TrustedProxies); !ok && c.TrustedProxies != "" {
		problem("trusted-proxy %q: want networks or addresses, such as 10.0.0.0/8,192.168.1.7", c.TrustedProxies)
	}
	if c.AccessLog != "on" && c.AccessLog != "off" {
		problem("access-log %q: want on or off", c.AccessLog)
	}
	if c.Compute != "containerd" {
		problem("compute %q: only containerd is there", c.Compute)
	}
	if c.Database != "" {
		if err := postgres.CheckURL(c.Database); err != nil {
			problem("database: %w", err)
		}
	}
	if _, err := c.quotas(); err != nil {
		problems = append(problems, err)
	}
	if _, err := c.deadlines(); err != nil {
		problems = append(problems, err)
	}
	if _, err := c.diskLimits(); err != nil {
		problems = append(problems, err)
	}
	if _, err := c.builds(); err != nil {
		problems = append(problems, err)
	}
	if _, err := c.revisions(); err != nil {
		problems = append(problems, err)
	}
	if _, err := c.buildMemory(); err != nil {
		problems = append(problems, err)
	}
	if _, err := c.poll(); err != nil {
		problems = append(problems, err)
	}
	if c.WebhookURL != "" && !isBaseURL(c.WebhookURL) {
		problem("webhook URL %q: want https://HOST, perhaps with a port and a path, under which other hosts reach the API address", c.WebhookURL)
	}
	return errors.Join(problems...)
}

// CheckRuntimes reads Runtimes. It is no part of Validate, because apron can be stopped also with a file that is broken.
func (c Config) CheckRuntimes() error {
	if c.Runtimes == "" {
		return nil
	}
	_, err := catalogue.Load(c.Runtimes)
	return err
}

// CheckCertificates reads CertsDir. It is no part of Validate, because apron can be stopped also without certificates.
func (c Config) CheckCertificates() error {
	if c.CertsDir == "" || c.HTTPS() == "" {
		return nil
	}
	return certs.CheckFiles(c.CertsDir)
}

// HTTPSOff is the HTTPSAddr of an apron without HTTPS.
const HTTPSOff = "off"

// HTTPS is where services answer by TLS; empty for nowhere.
func (c Config) HTTPS() string {
	if c.HTTPSAddr == HTTPSOff {
		return ""
	}
	return c.HTTPSAddr
}

// tlsDir holds what apron itself has of certificates: the local authority.
func (c Config) tlsDir() string { return filepath.Join(c.DataDir, "tls") }

// ensureAuthority sees to it that the local authority is there, before the data plane needs it.
func (c Config) ensureAuthority() error {
	if c.HTTPS() == "" {
		return nil
	}
	_, err := certs.OpenAuthority(c.tlsDir(), c.Domain)
	return err
}

// Authority returns the root of the local authority in the data directory, in PEM too: that of the running apron's domain, or else
// of this configuration's. fs.ErrNotExist before the first start of apron.
func (c Config) Authority() (root []byte, certificate *x509.Certificate, err error) {
	domain := c.Domain
	if running, isRunning, err := FindRunning(c.DataDir); isRunning && err == nil && running.Domain != "" {
		domain = running.Domain
	}
	return certs.Root(c.tlsDir(), domain)
}

// quotas reads Quotas. A later part counts before an earlier one.
func (c Config) quotas() (api.Quotas, error) {
	quotas := api.Quotas{}
	return quotas, setEach(c.Quotas, quotas.Set)
}

// deadlines reads Deadlines.
func (c Config) deadlines() (operation.Deadlines, error) {
	deadlines := operation.DefaultDeadlines()
	return deadlines, setEach(c.Deadlines, deadlines.Set)
}

// setEach sets each part of a list that is separated by commas.
func (c Config) diskLimits() (deploy.DiskLimits, error) {
	limits := deploy.DefaultDiskLimits()
	return limits, setEach(c.DiskLimits, limits.Set)
}

func (c Config) builds() (int, error) {
	n, err := strconv.Atoi(c.Builds)
	if err != nil || n < 1 || n > maxBuilds {
		return 0, fmt.Errorf("builds %q: want how many run at a time, from 1 to %d", c.Builds, maxBuilds)
	}
	return n, nil
}

func (c Config) revisions() (int, error) {
	n, err := strconv.Atoi(c.Revisions)
	if err != nil || n < 1 || n > maxRevisions {
		return 0, fmt.Errorf("revisions %q: want how many of a service stay, from 1 to %d", c.Revisions, maxRevisions)
	}
	return n, nil
}

// poll is 0 where no source is looked at.
func (c Config) poll() (time.Duration, error) {
	every, err := time.ParseDuration(c.Poll)
	if err != nil || every < 0 || every > maxPoll || every > 0 && every < minPoll {
		return 0, fmt.Errorf("poll %q: want how often sources are looked at, from %s to %s, such as 60s; or 0 for never", c.Poll, minPoll, maxPoll)
	}
	return every, nil
}

func isBaseURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

// webhookBase is the URL that the paths of webhooks are added to.
func (c Config) webhookBase() string {
	if c.WebhookURL != "" {
		return strings.TrimRight(c.WebhookURL, "/")
	}
	return c.Endpoint()
}

// buildMemory is in bytes; 0 where nothing was said.
func (c Config) buildMemory() (int64, error) {
	if c.BuildMemory == "" {
		return 0, nil
	}
	number, unit := c.BuildMemory[:len(c.BuildMemory)-1], c.BuildMemory[len(c.BuildMemory)-1]
	shift, known := map[byte]int{'M': 20, 'G': 30}[unit]
	n, err := strconv.ParseInt(number, 10, 64)
	if !known || err != nil || n < 1 || n > 1<<20 || n<<shift < minBuildMemory {
		return 0, fmt.Errorf("build memory %q: want 64M or more, such as 512M or 4G", c.BuildMemory)
	}
	return n << shift, nil
}

// maxBuilds, maxRevisions and the bounds of polling bound a mistake; minBuildMemory is what a shell and a compiler cannot do
// without.
const (
	minPoll        = time.Second
	maxPoll        = 24 * time.Hour
	maxBuilds      = 64
	maxRevisions   = 1000
	minBuildMemory = 64 << 20
)

func setEach(list string, set func(text string) error) error {
	for text := range strings.SplitSeq(list, ",") {
		if text == "" {
			continue
		}
		if err := set(text); err != nil {
			return err
		}
	}
	return nil
}

func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("want HOST:PORT or :PORT")
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("port %q: want a number up to 65535", port)
	}
	return nil
}

// Endpoint is the URL under which the API is reached from this machine.
func (c Config) Endpoint() string {
	host, port, err := net.SplitHostPort(c.APIAddr)
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return (&url.URL{Scheme: "http", Host: net.JoinHostPort(host, port)}).String()
}
