package apprunner

import "log/slog"

// Shapes of the extension actions on webhooks: how other hosts tell that a service's source has changed.

// WebhookSecret proves where a call comes from. It prints as ***.
type WebhookSecret string

func (WebhookSecret) String() string       { return "***" }
func (WebhookSecret) GoString() string     { return "***" }
func (WebhookSecret) LogValue() slog.Value { return slog.StringValue("***") }

// DescribeWebhookRequest asks for the webhook of a service, and makes it the first time.
type DescribeWebhookRequest struct {
	ServiceARN *AppRunnerResourceARN `api:"ServiceArn,required"`
}

type DescribeWebhookResponse struct {
	Webhook *Webhook `api:",required"`
}

// RotateWebhookRequest gives a webhook another secret. The one before is good for nothing any more.
type RotateWebhookRequest struct {
	ServiceARN *AppRunnerResourceARN `api:"ServiceArn,required"`
}

type RotateWebhookResponse struct {
	Webhook *Webhook `api:",required"`
}

// Webhook is where a Git host or registry tells of a push, by POST.
type Webhook struct {
	URL    *String        `api:"Url,required"`
	Secret *WebhookSecret `api:",required"`
	// URLWithSecret is for hosts that can neither sign a call nor send a header.
	URLWithSecret *WebhookSecret `api:"UrlWithSecret,required"`
}
