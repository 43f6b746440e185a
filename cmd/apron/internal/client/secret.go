package client

import (
	"context"
	"time"
)

// Secret is a named value without the value, as Apron.ListSecrets tells it.
type Secret struct {
	Name string
	// CreatedAt and ChangedAt are seconds since 1970.
	CreatedAt, ChangedAt float64
}

// Changed is when the value was stored.
func (s Secret) Changed() time.Time { return time.UnixMilli(int64(s.ChangedAt * 1000)) }

// PutSecret stores a value under a name.
func (c *Client) PutSecret(ctx context.Context, name, value string) (Secret, error) {
	return c.changeSecret(ctx, "PutSecret", map[string]any{"Name": name, "Value": value})
}

// DeleteSecret forgets a secret and returns what it was.
func (c *Client) DeleteSecret(ctx context.Context, name string) (Secret, error) {
	return c.changeSecret(ctx, "DeleteSecret", map[string]any{"Name": name})
}

// Secrets returns all secrets.
func (c *Client) Secrets(ctx context.Context) ([]Secret, error) {
	var output struct{ Secrets []Secret }
	err := c.call(ctx, "ListSecrets", map[string]any{}, &output)
	return output.Secrets, err
}

func (c *Client) changeSecret(ctx context.Context, action string, input map[string]any) (Secret, error) {
	var output struct{ Secret Secret }
	err := c.call(ctx, action, input, &output)
	return output.Secret, err
}
