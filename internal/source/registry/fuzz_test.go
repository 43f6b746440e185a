package registry_test

import (
	"context"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/registry"
)

// nowhere is a registry that has nothing and remembers what it was asked for.
type nowhere struct{ asked []string }

func (n *nowhere) Has(_ context.Context, repository string) (bool, error) {
	n.asked = append(n.asked, repository)
	return false, nil
}

func FuzzIdentifier(f *testing.F) {
	for _, seed := range []string{
		"hello", "hello:v1", "team/app", "docker.io/hello", "localhost:5000/a/b@sha256:" + strings.Repeat("a", 64),
		"123456789012.dkr.ecr.us-east-1.amazonaws.com/x", "public.ecr.aws/a/b", "a/../b", "../a", "a//b", "A", "", "http://x/y", "[::1]:5000/x",
	} {
		f.Add(seed)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // no request gets out
	f.Fuzz(func(t *testing.T, identifier string) {
		embedded := &nowhere{}
		r := registry.New(registry.Config{Data: t.TempDir(), Endpoint: source.NewEndpoint("127.0.0.1:8700"), Embedded: embedded})
		_, err := r.ResolveImage(ctx, identifier)
		if err == nil {
			t.Errorf("%q was resolved without a request", identifier)
		}
		for _, repository := range embedded.asked {
			if strings.Contains(repository, "..") || strings.HasPrefix(repository, "/") || strings.ContainsAny(repository, "\\\x00:@") {
				t.Errorf("%q asks for the repository %q", identifier, repository)
			}
		}
		if explained := platform.AsExplained(err); explained != nil && len(explained.Cause) > 2000 {
			t.Errorf("a cause of %d bytes", len(explained.Cause))
		}
	})
}
