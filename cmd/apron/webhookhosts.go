package main

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/cmd/apron/internal/view"
)

// webhookHost is what to do at a kind of host. {url}, {secret}, {both} (the URL with the secret) and {place} (where the source
// is) are filled in.
type webhookHost struct {
	title string
	steps []string
}

var webhookHosts = map[string]webhookHost{
	"github": {"At GitHub", []string{
		"{place}: Settings, Webhooks, Add webhook.",
		"Payload URL: {url}   Content type: application/json   Secret: {secret}",
		"Events: just the push event. For an image in GitHub's registry: Packages and Registry packages.",
	}},
	"gitlab": {"At GitLab", []string{
		"{place}: Settings, Webhooks, Add new webhook.",
		"URL: {url}   Signing token, or secret token where there is none: {secret}",
		"Trigger: push events.",
	}},
	"gitea": {"At Gitea or Forgejo", []string{
		"{place}: Settings, Webhooks, Add webhook, of the kind that is named after the host.",
		"Target URL: {url}   Content type: application/json   Secret: {secret}",
		"Trigger on: push events. For an image in its registry: package events.",
	}},
	"bitbucket": {"At Bitbucket", []string{
		"{place}: Repository settings, Webhooks, Add webhook.",
		"URL: {url}   Secret: {secret}",
		"Triggers: repository push.",
	}},
	"dockerhub": {"At Docker Hub", []string{
		"{place}: Webhooks.",
		"Webhook URL: {both}",
		"Docker Hub cannot sign its calls: the secret is a part of the URL, so keep that as one.",
	}},
	"quay": {"At Quay", []string{
		"{place}: Settings, Create notification, when a push to the repository occurs, issue a webhook POST.",
		"Webhook URL: {both}",
		"Quay cannot sign its calls: the secret is a part of the URL, so keep that as one.",
	}},
	"harbor": {"At Harbor", []string{
		"The project of {place}: Webhooks, New webhook, notify type http, event type artifact pushed.",
		"Endpoint URL: {url}   Auth header: Bearer {secret}",
	}},
	"registry": {"At a registry of CNCF's kind (distribution)", []string{
		"In its configuration, as one of the endpoints of notifications:",
		`{name: apron, url: "{url}", headers: {Authorization: ["Bearer {secret}"]}, ignore: {actions: [pull]}}`,
	}},
	"ecr": {"At Amazon ECR", []string{
		"Amazon EventBridge: a rule for the source aws.ecr and the detail type ECR Image Action, with an API destination as its target.",
		"The API destination: POST {url}, with an API key whose name is Authorization and whose value is: Bearer {secret}",
		"Or Amazon SNS with an HTTPS subscription to {both}: the service's event log has the address that confirms it.",
	}},
	"azure": {"At Azure Container Registry", []string{
		"The registry of {place}: Webhooks, Add, action push.",
		"Service URI: {url}   Custom headers: Authorization: Bearer {secret}",
	}},
	"other": {"Anywhere else", []string{
		"Whatever can make a call does, such as the last job of a pipeline:",
		"curl --fail -X POST -H 'Authorization: Bearer {secret}' {url}",
		"Or it signs the body, as GitHub does: X-Hub-Signature-256: sha256=HEX of HMAC-SHA256 with the secret.",
	}},
}

func hostNames() []string { return slices.Sorted(maps.Keys(webhookHosts)) }

// hostParts tell the kind of a host by a part of its name.
var hostParts = []struct{ part, host string }{
	{"github", "github"}, {"ghcr.io", "github"}, {"gitlab", "gitlab"}, {"bitbucket", "bitbucket"}, {"gitea", "gitea"}, {"forgejo", "gitea"},
	{"codeberg", "gitea"}, {"docker.io", "dockerhub"}, {"quay", "quay"}, {"harbor", "harbor"}, {"amazonaws.com", "ecr"}, {"azurecr.io", "azure"},
}

// sourcePlace returns where a service's source is, for people, and of which kind that host may be.
func sourcePlace(source *types.SourceConfiguration) (place, host string) {
	host, name := "other", ""
	if code := source.CodeRepository; code != nil {
		place = strings.TrimSuffix(aws.ToString(code.RepositoryUrl), ".git")
		if parsed, err := url.Parse(place); err == nil && parsed.Host != "" {
			parsed.User = nil // it may be a token
			place, name = parsed.String(), parsed.Host
		} else {
			name, _, _ = strings.Cut(place, ":")
		}
	} else if image := source.ImageRepository; image != nil {
		host, place = "registry", aws.ToString(image.ImageIdentifier)
		var isNamed bool
		if name, _, isNamed = strings.Cut(place, "/"); !isNamed || !strings.ContainsAny(name, ".:") {
			name = "docker.io"
		}
	}
	for _, known := range hostParts {
		if strings.Contains(name, known.part) {
			host = known.host
			break
		}
	}
	return view.Clean(place), host
}
