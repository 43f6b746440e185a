package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Webhook is where a Git host or registry tells of a push. It holds a secret.
type Webhook struct {
	URL    string `json:"Url"`
	Secret string
	// URLWithSecret is for hosts that can neither sign a call nor send a header.
	URLWithSecret string `json:"UrlWithSecret"`
}

// Webhook returns the webhook of a service; with rotate it gets another secret before.
func (c *Client) Webhook(ctx context.Context, arn string, rotate bool) (Webhook, error) {
	action := "DescribeWebhook"
	if rotate {
		action = "RotateWebhook"
	}
	var output struct{ Webhook Webhook }
	err := c.call(ctx, action, map[string]any{"ServiceArn": arn}, &output)
	return output.Webhook, err
}

// webhookTime bounds a call of a webhook; hosts wait about as long.
const webhookTime = 10 * time.Second

// CallWebhook calls a webhook as any client would, and returns what it says.
func (c *Client) CallWebhook(ctx context.Context, webhook Webhook) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, webhookTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, webhook.URL, bytes.NewReader([]byte("{}")))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+webhook.Secret)
	response, err := c.http.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err != nil {
		return "", err
	}
	sentence := strings.TrimSpace(string(answer))
	if response.StatusCode/100 != 2 {
		return "", fmt.Errorf("%s answered %s: %s", webhook.URL, response.Status, sentence)
	}
	return sentence, nil
}
