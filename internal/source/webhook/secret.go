package webhook

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/apron-run/apron/internal/platform"
)

// secretPrefix begins a secret, as Standard Webhooks wants it; to all others it is a part of the text.
const secretPrefix = "whsec_"

// Secrets keeps the secret of each service's webhook, which is made when somebody asks for it first.
type Secrets struct {
	// Seal and Open are a secret.Box's.
	Seal func(purpose string, plain []byte) []byte
	Open func(purpose string, sealed []byte) ([]byte, error)
	// Keep replaces what a service has if that is still before, and returns what it has then.
	Keep func(ctx context.Context, service platform.ServiceID, sealed, before string) (string, error)
}

// Secret returns the secret of a service's webhook; with renew a new one, and the one before is good for nothing any more.
func (s Secrets) Secret(ctx context.Context, service platform.Service, renew bool) (string, error) {
	if service.Webhook != "" && !renew {
		return s.Of(service)
	}
	sealed := base64.StdEncoding.EncodeToString(s.Seal(purpose(service), []byte(newSecret())))
	kept, err := s.Keep(ctx, service.ID, sealed, service.Webhook)
	if err != nil {
		return "", err
	}
	service.Webhook = kept
	return s.Of(service)
}

// Of returns the secret that a service has; empty when it has none.
func (s Secrets) Of(service platform.Service) (string, error) {
	if service.Webhook == "" {
		return "", nil
	}
	sealed, err := base64.StdEncoding.DecodeString(service.Webhook)
	if err != nil {
		return "", fmt.Errorf("read the secret of a webhook: %w", err)
	}
	plain, err := s.Open(purpose(service), sealed)
	if err != nil {
		return "", platform.Explain(err, "the secret of the webhook of the service %s was sealed with another key than the data directory has", service.Name).
			Try("bring the file secrets.key back from a backup, or make a new secret with `apron webhook %s --rotate`", service.Name)
	}
	return string(plain), nil
}

func purpose(service platform.Service) string { return "webhook of " + service.ARN }

// newSecret returns 256 random bits in base64, as Standard Webhooks and GitLab want them, and without the characters that
// mean something else in a URL.
func newSecret() string {
	for {
		var raw [32]byte
		rand.Read(raw[:]) // never fails (crypto/rand)
		if text := base64.StdEncoding.EncodeToString(raw[:]); !strings.ContainsAny(text, "+/") {
			return secretPrefix + text
		}
	}
}
