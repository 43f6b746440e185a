package build

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apron-run/apron/internal/platform"
)

// buildSecrets are the values of a Dockerfile's secrets by their ids. BuildKit mounts them into the steps that ask for
// them and keeps them out of images and cache keys.
type buildSecrets map[string][]byte

// readBuildSecrets asks for what the request's tags refer to.
func readBuildSecrets(ctx context.Context, request Request) (buildSecrets, error) {
	references := tagsBelow(request.Tags, platform.TagBuildSecret)
	secrets := buildSecrets{}
	for _, id := range slices.Sorted(maps.Keys(references)) {
		if request.Secret == nil {
			return nil, platform.Explain(nil, "the build's secret %s cannot be read: there is no store of secrets", id).
				Try("remove the tag %s%s", platform.TagBuildSecret, id)
		}
		value, err := request.Secret(ctx, references[id])
		if err != nil {
			return nil, fmt.Errorf("read the build's secret %s: %w", id, err)
		}
		secrets[id] = []byte(value)
	}
	return secrets, nil
}

// minHidden is how long a line of a secret must be to be hidden: shorter ones are part of too many words.
const minHidden = 4

// lines are what must be hidden of the values: a step may print what it was given, and the log is written a line at a time.
func (s buildSecrets) lines() []string {
	var lines []string
	for _, value := range s {
		for line := range strings.Lines(string(value)) {
			if line = strings.TrimSpace(line); len(line) >= minHidden {
				lines = append(lines, line)
			}
		}
	}
	slices.SortFunc(lines, func(a, b string) int { return len(b) - len(a) }) // one may be a part of another
	return lines
}

// hiding replaces secrets.
func hiding(secrets []string) *strings.Replacer {
	var pairs []string
	for _, secret := range secrets {
		pairs = append(pairs, secret, "***")
	}
	return strings.NewReplacer(pairs...)
}
