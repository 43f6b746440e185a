package client

import (
	"context"
	"strings"

	"github.com/apron-run/apron/internal/platform"
)

// Listeners says where the services of an apron answer.
type Listeners struct{ platform.Listeners }

// Listeners asks where services answer.
func (c *Client) Listeners(ctx context.Context) (Listeners, error) {
	var output struct {
		HTTPPort  int `json:"HttpPort"`
		HTTPSPort int `json:"HttpsPort"`
	}
	err := c.call(ctx, "DescribeListeners", map[string]any{}, &output)
	return Listeners{platform.Listeners(output)}, err
}

// Of returns the URL of a service by its ServiceUrl, and that without TLS where it is another. Both are "" for a private service.
func (l Listeners) Of(serviceURL string) (best, plain string) {
	host, _, _ := strings.Cut(serviceURL, ":")
	if host == "" {
		return "", ""
	}
	best, plain = l.URL(host), l.PlainURL(host)
	if l.HTTPSPort == 0 {
		plain = ""
	}
	return best, plain
}
