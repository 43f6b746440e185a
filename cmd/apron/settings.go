package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/apron-run/apron/internal/app"
)

// settings are where apron's configuration comes from: a flag wins over its APRON_ variable, that over the file, that
// over the default.
type settings struct {
	values map[string]*string
	file   string
	flags  *pflag.FlagSet
}

// setting is one member of the configuration.
type setting struct {
	name, usage string
	of          func(*app.Config) *string
	// isList is for a flag that may be given again.
	isList bool
}

// databaseSetting may hold a password: it goes from program to program in the environment, which others cannot read.
const databaseSetting = "database"

var allSettings = []setting{
	{"data", "folder of all that apron keeps", func(c *app.Config) *string { return &c.DataDir }, false},
	{"api", "address of the API, the Git server and the registry", func(c *app.Config) *string { return &c.APIAddr }, false},
	{"http", "address of the services' HTTP traffic", func(c *app.Config) *string { return &c.HTTPAddr }, false},
	{"https", "address of the services' HTTPS traffic, HTTP/3 too; off for none", func(c *app.Config) *string { return &c.HTTPSAddr }, false},
	{"certs", "folder of certificates for HTTPS, see docs/https.md (default those of apron's own authority)", func(c *app.Config) *string { return &c.CertsDir }, false},
	{"private-http", "address of the HTTP traffic of private services", func(c *app.Config) *string { return &c.PrivateHTTPAddr }, false},
	{"trusted-proxy", "address or network of a proxy before apron whose X-Forwarded headers are believed; again for each", func(c *app.Config) *string { return &c.TrustedProxies }, true},
	{"access-log", "on, or off for no line about each request to a service", func(c *app.Config) *string { return &c.AccessLog }, false},
	{"domain", "what the services' host names end with", func(c *app.Config) *string { return &c.Domain }, false},
	{"resolver", "HOST:PORT of the DNS server to look for custom domains' records at (default the machine's servers)", func(c *app.Config) *string { return &c.Resolver }, false},
	{"region", "region in ARNs and host names", func(c *app.Config) *string { return &c.Region }, false},
	{"account", "account in ARNs, 12 digits", func(c *app.Config) *string { return &c.Account }, false},
	{databaseSetting, "URL of a PostgreSQL database; give a password by the variable, not by the flag (default SQLite in the data folder)", func(c *app.Config) *string { return &c.Database }, false},
	{"take-database", "id of an apron that is gone for good, to take over its PostgreSQL database", func(c *app.Config) *string { return &c.TakeDatabase }, false},
	{"compute", "what runs the instances", func(c *app.Config) *string { return &c.Compute }, false},
	{"quota", "limit of a number, such as services=30; again for each, or apprunner for App Runner's own numbers", func(c *app.Config) *string { return &c.Quotas }, true},
	{"deadline", "how long something may take, such as build=1h or health-check=5m; again for each", func(c *app.Config) *string { return &c.Deadlines }, true},
	{"disk-limit", "how full the disk may be, in percent, such as build=90 or deploy=95; again for each", func(c *app.Config) *string { return &c.DiskLimits }, true},
	{"builds", "how many builds run at a time", func(c *app.Config) *string { return &c.Builds }, false},
	{"build-memory", "what a build may use, such as 4G (default a share of the machine's memory)", func(c *app.Config) *string { return &c.BuildMemory }, false},
	{"revisions", "how many revisions of a service stay, with their images, to go back to", func(c *app.Config) *string { return &c.Revisions }, false},
	{"poll", "how often the sources of services with automatic deployments are looked at; 0 for never", func(c *app.Config) *string { return &c.Poll }, false},
	{"webhook-url", "URL under which other hosts reach the API address, for webhooks (default that of --api)", func(c *app.Config) *string { return &c.WebhookURL }, false},
	{"cache", "folder of assembled base images, shared on a machine", func(c *app.Config) *string { return &c.CacheDir }, false},
	{"runtimes", "file that adds to and replaces runtimes, see docs/operations.md", func(c *app.Config) *string { return &c.Runtimes }, false},
	{"bin", "folder of containerd, runc, buildkitd and cni/", func(c *app.Config) *string { return &c.BinDir }, false},
}

// variable is the environment's twin of a flag.
func variable(name string) string {
	return "APRON_" + strings.ReplaceAll(strings.ToUpper(name), "-", "_")
}

// bind adds a flag for each setting, and --config.
func (s *settings) bind(flags *pflag.FlagSet) {
	for _, each := range allSettings {
		s.bindOne(flags, each)
	}
	flags.StringVar(&s.file, "config", "", "YAML file with these settings, by the flags' names (APRON_CONFIG)")
	s.flags = flags
}

// bindData adds --data only, for the verbs that talk to a running apron.
func (s *settings) bindData(flags *pflag.FlagSet) { s.bindOne(flags, allSettings[0]) }

func (s *settings) bindOne(flags *pflag.FlagSet, each setting) {
	if s.values == nil {
		s.values = map[string]*string{}
	}
	defaults := app.Default()
	if s.values[each.name] == nil {
		s.values[each.name] = new(string)
	}
	usage := each.usage + " (" + variable(each.name) + ")" + defaultText(*each.of(&defaults))
	if each.isList {
		flags.Var((*listed)(s.values[each.name]), each.name, usage)
		return
	}
	flags.StringVar(s.values[each.name], each.name, "", usage)
}

// listed is a flag that, given again, adds its value after a comma.
type listed string

func (l *listed) String() string { return string(*l) }
func (l *listed) Type() string   { return "string" }

// Set adds a value.
func (l *listed) Set(value string) error {
	if *l != "" {
		value = string(*l) + "," + value
	}
	*l = listed(value)
	return nil
}

func defaultText(value string) string {
	if value == "" {
		return ""
	}
	return " (default " + value + ")"
}

// resolve returns the configuration. A setting that makes no sense is a usageError.
func (s *settings) resolve() (app.Config, error) {
	config := app.Default()
	path := s.file
	if path == "" {
		path = os.Getenv("APRON_CONFIG")
	}
	if path != "" {
		if err := readFile(&config, path); err != nil {
			return config, &usageError{fmt.Errorf("%s: %w", path, err), "Its keys are the long flags of `apron serve --help`, without the dashes."}
		}
	}
	for _, each := range allSettings {
		if value := os.Getenv(variable(each.name)); value != "" {
			*each.of(&config) = value
		}
		if value := s.values[each.name]; value != nil && *value != "" {
			*each.of(&config) = *value
		}
	}
	paths := []*string{&config.DataDir, &config.CacheDir, &config.BinDir}
	for _, path := range []*string{&config.Runtimes, &config.CertsDir} {
		if *path != "" {
			paths = append(paths, path)
		}
	}
	for _, path := range paths {
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return config, err
		}
		*path = absolute
	}
	if err := config.Validate(); err != nil {
		return config, &usageError{err, "See `apron serve --help`."}
	}
	return config, nil
}

// namesData says whether the user said which apron is meant by its data directory.
func (s *settings) namesData() bool {
	value := s.values["data"]
	return value != nil && *value != "" || os.Getenv(variable("data")) != ""
}

// readFile lays the settings of a YAML file over config. A key that is no setting is an error: it is a typing mistake.
func readFile(config *app.Config, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var values map[string]string
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	if err := decoder.Decode(&values); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for _, each := range allSettings {
		if value, found := values[each.name]; found {
			*each.of(config) = value
			delete(values, each.name)
		}
	}
	for name := range values {
		return fmt.Errorf("there is no setting %q", name)
	}
	return nil
}
