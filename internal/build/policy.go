package build

import (
	"maps"
	"regexp"
	"slices"

	spb "github.com/moby/buildkit/sourcepolicy/pb"

	"github.com/apron-run/apron/internal/platform"
)

// guarded is an attribute of ours on what leads to the guard already; the frontend knows none of that name.
const guarded = "apron.guarded"

// localImage matches images of registries that are named by an address or as this machine: buildkitd would ask servers on
// loopback for them.
const localImage = `^docker-image://(\[[^/]*\]|([^/:]*\.)?(localhost|[0-9]+|0[xX][0-9a-fA-F]*))(:[0-9]+)?/`

// sourcePolicy is what BuildKit may fetch for a Dockerfile: URLs through the guard, and images of registries on this machine
// only where the administrator named the registry.
func sourcePolicy(g *guard, registries map[string]Registry) *spb.Policy {
	policy := &spb.Policy{Version: 1, Rules: []*spb.Rule{
		{
			Action: spb.PolicyAction_CONVERT,
			Selector: &spb.Selector{
				MatchType: spb.MatchType_REGEX, Identifier: `^(https?|git)://(.*)$`,
				Constraints: []*spb.AttrConstraint{{Key: guarded, Value: g.path, Condition: spb.AttrMatch_NOTEQUAL}},
			},
			Updates: &spb.Update{Identifier: g.origin + g.path + "${1}/${2}", Attrs: map[string]string{guarded: g.path}},
		},
		sourceRule(spb.PolicyAction_DENY, `^(https?|git)://`),
		sourceRule(spb.PolicyAction_ALLOW, `^`+regexp.QuoteMeta(g.origin+g.path)),
		sourceRule(spb.PolicyAction_DENY, localImage),
	}}
	for _, host := range slices.Sorted(maps.Keys(registries)) {
		policy.Rules = append(policy.Rules, sourceRule(spb.PolicyAction_ALLOW, `^docker-image://`+regexp.QuoteMeta(host)+`/`))
	}
	return policy
}

func sourceRule(action spb.PolicyAction, pattern string) *spb.Rule {
	return &spb.Rule{Action: action, Selector: &spb.Selector{MatchType: spb.MatchType_REGEX, Identifier: pattern}}
}

// deniedImage matches BuildKit's complaint about an image that the policy denies. Its error has no type on this side of
// the connection.
var deniedImage = regexp.MustCompile(`source "docker-image://([^"]*)" denied by policy`)

// explainDenied is why an image is not fetched, or nil when that is not what err says.
func explainDenied(err error) *platform.ExplainedError {
	found := deniedImage.FindStringSubmatch(err.Error())
	if found == nil {
		return nil
	}
	return platform.Explain(err, "the Dockerfile names the image %s, of a registry on this machine or at an address", found[1]).
		Try("push it to apron's own registry, or name its registry in registries.yaml")
}
