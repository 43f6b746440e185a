package registry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/apron-run/apron/internal/platform"
)

// Settings is the content of registries.yaml:
//
//	registries:
//	  docker.io:
//	    mirrors: [https://mirror.example.org]   # asked first, in this order; a path comes after /v2
//	  registry.example.org:5000:
//	    ca: corporate.pem                       # trusted besides the machine's; relative to the data directory
//	  mirror.example.org:
//	    skip-verify: true                       # HTTPS with any certificate
//	  old.example.org:5000:
//	    http: true                              # no TLS at all
//
// A mirror's own connection is set up under its own host name.
type Settings struct {
	Registries map[string]HostSettings `yaml:"registries"`
}

// HostSettings is how one registry is reached.
type HostSettings struct {
	Mirrors    []string `yaml:"mirrors"`
	CA         string   `yaml:"ca"`
	SkipVerify bool     `yaml:"skip-verify"`
	HTTP       bool     `yaml:"http"`
}

// Settings returns what registries.yaml says, with the paths of authorities made whole.
func (r *Registry) Settings() (Settings, error) {
	settings, err := r.readSettings()
	for host, registry := range settings.Registries {
		if registry.CA != "" {
			registry.CA = r.authorityFile(registry.CA)
			settings.Registries[host] = registry
		}
	}
	return settings, err
}

// readSettings reads registries.yaml. No file is no settings.
func (r *Registry) readSettings() (Settings, error) {
	var settings Settings
	file, err := os.Open(r.settingsFile())
	if errors.Is(err, fs.ErrNotExist) {
		return settings, nil
	}
	if err != nil {
		return settings, fmt.Errorf("read registry settings: %w", err)
	}
	defer file.Close()
	decoder := yaml.NewDecoder(io.LimitReader(file, 1<<20))
	decoder.KnownFields(true)
	if err := decoder.Decode(&settings); err != nil && !errors.Is(err, io.EOF) {
		return settings, platform.Explain(err, "the file %s cannot be read", r.settingsFile()).
			Try("correct it").WithEvidence(err.Error())
	}
	for host, registry := range settings.Registries {
		for _, mirror := range registry.Mirrors {
			u, err := url.Parse(mirror)
			if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
				return settings, platform.Explain(nil, "a mirror of %s in %s is not a URL like https://HOST or https://HOST/PATH", host, r.settingsFile()).
					Try("correct it")
			}
		}
	}
	return settings, nil
}

// tlsConfig is what the settings say about certificates.
func (r *Registry) tlsConfig(host string, settings HostSettings) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: settings.SkipVerify} //nolint:gosec // the administrator's choice
	if settings.CA == "" {
		return config, nil
	}
	path := r.authorityFile(settings.CA)
	authorities, err := x509.SystemCertPool()
	if err != nil {
		authorities = x509.NewCertPool()
	}
	content, err := os.ReadFile(path)
	if err != nil || !authorities.AppendCertsFromPEM(content) {
		return nil, platform.Explain(err, "%s, which %s names as the certificate authority of %s, holds no certificate that can be read",
			path, r.settingsFile(), host).Try("put its certificate there, in PEM format")
	}
	config.RootCAs = authorities
	return config, nil
}

// authorityFile is where a certificate authority's file lies.
func (r *Registry) authorityFile(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(r.config.Data, name)
}
