package build

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/secrets/secretsprovider"

	"github.com/apron-run/apron/internal/build/host"
)

const (
	// trustTarget is where Debian's programs look for certificate authorities.
	trustTarget = "/etc/ssl/certs/ca-certificates.crt"
	trustSecret = "host/trust"
	envSecret   = "host/env/"
)

// trustVariables name the bundle for tools that bring their own: Node.js, and pip and requests from PyPI.
var trustVariables = []string{"NODE_EXTRA_CA_CERTS", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"}

// hostOptions give a step the machine's ways to the registries. They are secrets and proxy settings to BuildKit, which
// keeps both out of cache keys, images and the build's history.
func hostOptions(settings host.Settings) []llb.RunOption {
	var options []llb.RunOption
	if proxy := settings.Proxy; proxy != (host.Proxy{}) {
		options = append(options, llb.WithProxy(llb.ProxyEnv{
			HTTPProxy: proxy.HTTP, HTTPSProxy: proxy.HTTPS, NoProxy: proxy.No, AllProxy: proxy.All,
		}))
	}
	for _, name := range slices.Sorted(maps.Keys(settings.BuildEnvironment)) {
		// Without a destination: with one it would be a file in the working folder too, and stay in the image.
		options = append(options, llb.AddSecretWithDest(envSecret+name, nil, llb.SecretAsEnvName(name)))
	}
	if settings.TrustBundle != "" {
		options = append(options, llb.AddSecret(trustTarget, llb.SecretID(trustSecret), llb.SecretFileOpt(0, 0, 0o444)))
		for _, name := range trustVariables {
			options = append(options, llb.AddEnv(name, trustTarget))
		}
	}
	return options
}

// hostSecrets serves what hostOptions names.
func hostSecrets(settings host.Settings) (session.Attachable, error) {
	values := map[string][]byte{}
	for name, value := range settings.BuildEnvironment {
		values[envSecret+name] = []byte(value)
	}
	if settings.TrustBundle != "" {
		bundle, err := os.ReadFile(settings.TrustBundle)
		if err != nil {
			return nil, fmt.Errorf("read the machine's certificate authorities: %w", err)
		}
		values[trustSecret] = bundle
	}
	return secretsprovider.FromMap(values), nil
}
