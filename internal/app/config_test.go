package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/apron-run/apron/internal/platform"
)

func TestTheDefaultConfigurationIsValid(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidateNamesEachProblem(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*Config)
		want string
	}{
		"relative data directory":   {func(c *Config) { c.DataDir = "data" }, `data directory "data"`},
		"the root as data":          {func(c *Config) { c.DataDir = "/" }, "not /"},
		"data directory too long":   {func(c *Config) { c.DataDir = "/" + strings.Repeat("d", 90) }, "at most 80"},
		"relative cache":            {func(c *Config) { c.CacheDir = "x" }, "cache directory"},
		"address without a port":    {func(c *Config) { c.APIAddr = "127.0.0.1" }, `api address "127.0.0.1": want HOST:PORT`},
		"port that is no number":    {func(c *Config) { c.HTTPAddr = ":http" }, `http address ":http": port`},
		"resolver without a port":   {func(c *Config) { c.Resolver = "192.0.2.53" }, `resolver "192.0.2.53"`},
		"resolver without a host":   {func(c *Config) { c.Resolver = ":53" }, `resolver ":53"`},
		"private port is open":      {func(c *Config) { c.PrivateHTTPAddr = "127.0.0.1:8080" }, "private-http address"},
		"an access log for a while": {func(c *Config) { c.AccessLog = "sometimes" }, "access-log \"sometimes\": want on or off"},
		"a trusted host":            {func(c *Config) { c.TrustedProxies = "10.0.0.0/8,lb" }, "trusted-proxy"},
		"port out of range":         {func(c *Config) { c.HTTPSAddr = ":65536" }, "https address"},
		"domain in upper case":      {func(c *Config) { c.Domain = "Apron.localhost" }, "domain"},
		"region of no known form":   {func(c *Config) { c.Region = "here" }, "region"},
		"account with 11 digits":    {func(c *Config) { c.Account = "00000000000" }, "12 digits"},
		"unknown compute":           {func(c *Config) { c.Compute = "docker" }, "compute"},
		"disk limit over 100":       {func(c *Config) { c.DiskLimits = "build=101" }, "disk limit"},
		"too much polling":          {func(c *Config) { c.Poll = "10ms" }, "poll \"10ms\""},
		"polling without a unit":    {func(c *Config) { c.Poll = "60" }, "poll \"60\""},
		"a webhook URL of no web":   {func(c *Config) { c.WebhookURL = "ftp://deploy.test" }, "webhook URL"},
		"a webhook URL with a user": {func(c *Config) { c.WebhookURL = "https://a:b@deploy.test" }, "webhook URL"},
		"no revisions":              {func(c *Config) { c.Revisions = "0" }, "revisions \"0\""},
		"no builds":                 {func(c *Config) { c.Builds = "0" }, "builds \"0\""},
		"builds that are no number": {func(c *Config) { c.Builds = "many" }, "builds \"many\""},
		"build memory without unit": {func(c *Config) { c.BuildMemory = "4" }, "build memory"},
		"too little build memory":   {func(c *Config) { c.BuildMemory = "8M" }, "64M or more"},
		"database of another kind":  {func(c *Config) { c.Database = "mysql://x" }, "database: want a URL such as postgres://"},
	} {
		t.Run(name, func(t *testing.T) {
			config := Default()
			c.edit(&config)
			if err := config.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Validate says %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestEndpointIsReachableFromThisMachine(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8700": "http://127.0.0.1:8700", ":8700": "http://127.0.0.1:8700", "0.0.0.0:1": "http://127.0.0.1:1",
		"[::]:2": "http://127.0.0.1:2", "[::1]:3": "http://[::1]:3", "apron.example:4": "http://apron.example:4",
	} {
		if got := (Config{APIAddr: address}).Endpoint(); got != want {
			t.Errorf("the endpoint of %s is %s, want %s", address, got, want)
		}
	}
}

func TestOneProcessClaimsADataDirectory(t *testing.T) {
	config := Default()
	config.DataDir = t.TempDir()
	if _, isRunning, err := FindRunning(config.DataDir); isRunning || err != nil {
		t.Fatalf("an apron runs before the first (%v)", err)
	}
	claim, err := TakeClaim(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := TakeClaim(config); !errors.Is(err, ErrRunning) {
		t.Errorf("a second claim says %v", err)
	}
	running, isRunning, err := FindRunning(config.DataDir)
	want := Running{os.Getpid(), "http://127.0.0.1:8700", ":8080", ":8443", "apron.localhost", "us-east-1", true}
	if !isRunning || err != nil || running != want {
		t.Errorf("found %+v, %v, %v", running, isRunning, err)
	}
	if err := claim.Release(); err != nil {
		t.Fatal(err)
	}
	if _, isRunning, err := FindRunning(config.DataDir); isRunning || err != nil {
		t.Errorf("an apron runs after its release (%v)", err)
	}
	again, err := TakeClaim(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Release(); err != nil {
		t.Error(err)
	}
}

func TestADiskThatTakesNothingIsToldToWhoStartsAnApron(t *testing.T) {
	config := Default()
	for name, c := range map[string]struct {
		spoil func(dir string)
		want  string
	}{
		"read-only": {func(dir string) {
			if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
		}, "is read-only"},
		"full": {func(dir string) { fill(t, filepath.Join(dir, "junk")) }, "is full"},
	} {
		t.Run(name, func(t *testing.T) {
			config.DataDir = smallDisk(t, "1m")
			c.spoil(config.DataDir)
			_, err := TakeClaim(config)
			if explained := platform.AsExplained(err); explained == nil || !strings.Contains(explained.Cause, "The disk of "+config.DataDir+" "+c.want) {
				t.Errorf("the claim says %v", err)
			}
		})
	}
}
