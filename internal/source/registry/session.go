package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	containerdreference "github.com/containerd/containerd/v2/pkg/reference"
	"github.com/distribution/reference"
)

// session is one resolution or pull: settings read once, tokens kept for its length.
type session struct {
	registry *Registry
	settings Settings
	resolver remotes.Resolver

	mu    sync.Mutex // guards hosts
	hosts map[string][]docker.RegistryHost
}

func (r *Registry) newSession() (*session, error) {
	settings, err := r.readSettings()
	if err != nil {
		return nil, err
	}
	s := &session{registry: r, settings: settings, hosts: map[string][]docker.RegistryHost{}}
	s.resolver = docker.NewResolver(docker.ResolverOptions{
		Hosts:   s.registryHosts,
		Headers: http.Header{"User-Agent": {"apron"}},
	})
	return s, nil
}

// registryHosts implements docker.RegistryHosts: the mirrors of a host, then the host itself.
func (s *session) registryHosts(host string) ([]docker.RegistryHost, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.hosts[host]; ok {
		return known, nil
	}
	var hosts []docker.RegistryHost
	for _, mirror := range s.settings.Registries[host].Mirrors {
		u, err := url.Parse(mirror)
		if err != nil {
			return nil, fmt.Errorf("read mirror: %w", err) // readSettings checked it
		}
		added, err := s.registryHost(u.Host, u.Scheme, "/v2"+strings.TrimRight(u.Path, "/"), docker.HostCapabilityPull|docker.HostCapabilityResolve)
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, added)
	}
	address, err := docker.DefaultHost(host)
	if err != nil {
		return nil, fmt.Errorf("find registry: %w", err)
	}
	own, err := s.registryHost(address, s.scheme(host), "/v2", docker.HostCapabilityPull|docker.HostCapabilityResolve|docker.HostCapabilityPush)
	if err != nil {
		return nil, err
	}
	s.hosts[host] = append(hosts, own)
	return s.hosts[host], nil
}

// scheme is https unless the settings, or its being apron itself, say otherwise.
func (s *session) scheme(host string) string {
	if s.settings.Registries[host].HTTP || s.registry.config.Endpoint.Is(host, "80") {
		return "http"
	}
	return "https"
}

func (s *session) registryHost(host, scheme, path string, capabilities docker.HostCapabilities) (docker.RegistryHost, error) {
	transport, err := s.registry.transport(host, s.settings.Registries[host])
	if err != nil {
		return docker.RegistryHost{}, err
	}
	client := &http.Client{Transport: transport}
	authorizer := docker.NewDockerAuthorizer(
		docker.WithAuthClient(client),
		docker.WithAuthHeader(http.Header{"User-Agent": {"apron"}}),
		docker.WithAuthCreds(func(host string) (string, string, error) {
			// containerd's interface carries no context here; a helper has a deadline of its own.
			return s.registry.Credentials(context.Background(), host)
		}),
	)
	return docker.RegistryHost{
		Client: client, Authorizer: authorizer, Host: host, Scheme: scheme, Path: path, Capabilities: capabilities,
	}, nil
}

// tags lists the repository's tags, or fails; it is asked only to say more about a failure.
func (s *session) tags(ctx context.Context, named reference.Named) ([]string, error) {
	spec, err := containerdreference.Parse(named.String())
	if err != nil {
		return nil, fmt.Errorf("list tags: %w", err)
	}
	hosts, err := s.registryHosts(spec.Hostname())
	if err != nil {
		return nil, err
	}
	ctx, err = docker.ContextWithRepositoryScope(ctx, spec, false)
	if err != nil {
		return nil, fmt.Errorf("list tags: %w", err)
	}
	host := hosts[len(hosts)-1]
	address := host.Scheme + "://" + host.Host + host.Path + "/" + reference.Path(named) + "/tags/list?n=1000"
	response, err := s.get(ctx, host, address)
	if err != nil {
		return nil, fmt.Errorf("list tags: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("list tags: %s", response.Status)
	}
	var answer struct{ Tags []string }
	if err := json.NewDecoder(io.LimitReader(response.Body, maxManifestBytes)).Decode(&answer); err != nil {
		return nil, fmt.Errorf("list tags: %w", err)
	}
	return answer.Tags, nil
}

// get asks once and, when the registry then says what to log in to, once more.
func (s *session) get(ctx context.Context, host docker.RegistryHost, address string) (*http.Response, error) {
	for try := 0; ; try++ {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		if err := host.Authorizer.Authorize(ctx, request); err != nil {
			return nil, err
		}
		response, err := host.Client.Do(request)
		if err != nil || response.StatusCode != http.StatusUnauthorized || try > 0 {
			return response, err
		}
		discard(response)
		if err := host.Authorizer.AddResponses(ctx, []*http.Response{response}); err != nil {
			return nil, err
		}
	}
}
