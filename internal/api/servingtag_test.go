package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apron-run/apron/internal/api"
	"github.com/apron-run/apron/internal/platform"
)

func TestTagsThatDoNotFitTogetherChangeNothing(t *testing.T) {
	changes := 0
	w := newWorld(t, func(c *api.Config) { c.Retag = func() { changes++ } })
	arn := w.running("webapp")
	tags := func(members string) string { return fmt.Sprintf(`{"ResourceArn":%q,%s}`, arn, members) }
	w.call("TagResource", tags(`"Tags":[{"Key":"apron:min-size","Value":"0"},{"Key":"apron:scale-to-zero-after","Value":"5m"},{"Key":"apron:allow-ips","Value":"10.0.0.0/8, ::1"}]`))
	for _, each := range []struct {
		action, members string
		want            []string
	}{
		{"TagResource", `"Tags":[{"Key":"team","Value":"a"},{"Key":"apron:allow-ips","Value":"10.0.0.1/8"}]`, []string{"Tags[1].Value", "apron:allow-ips"}},
		{"TagResource", `"Tags":[{"Key":"team","Value":"a"},{"Key":"apron:min-size","Value":"1"}]`, []string{"apron:min-size=0", "Remove the tag apron:scale-to-zero-after first."}},
		{"TagResource", `"Tags":[{"Key":"apron:freeze","Value":"off"},{"Key":"apron:freeze-after","Value":"5m"}]`, []string{"apron:freeze-after", "apron:freeze=off"}},
		{"UntagResource", `"TagKeys":["apron:allow-ips","apron:min-size"]`, []string{"apron:min-size=0", "Remove both tags in one call: apron:min-size and apron:scale-to-zero-after."}},
	} {
		message := w.refused(each.action, tags(each.members), "InvalidRequestException", 400)
		for _, want := range each.want {
			if !strings.Contains(message, want) {
				t.Errorf("%s %s: it does not say %q: %s", each.action, each.members, want, message)
			}
		}
	}
	const kept = `{"Tags":[{"Key":"apron:allow-ips","Value":"10.0.0.0/8, ::1"},{"Key":"apron:min-size","Value":"0"},{"Key":"apron:scale-to-zero-after","Value":"5m"}]}`
	if got := w.send("AppRunner.ListTagsForResource", fmt.Sprintf(`{"ResourceArn":%q}`, arn), nil); got.body != kept {
		t.Errorf("after refusals: %s", got.body)
	}
	w.call("UntagResource", tags(`"TagKeys":["apron:scale-to-zero-after","apron:min-size"]`))
	if changes != 2 {
		t.Errorf("%d changes were told of, want 2", changes)
	}
}

// A database may hold tags that a version before did not check.
func TestTagsThatDidNotFitTogetherBeforeMayBeRepaired(t *testing.T) {
	w := newWorld(t)
	arn := w.running("webapp")
	service, err := w.store.ServiceByName(t.Context(), "webapp")
	if err == nil {
		err = w.store.UpdateTags(t.Context(), service.ID, func(tags map[string]string) error {
			tags[platform.TagRequestTimeout], tags[platform.TagScaleTarget] = "never", "50"
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	w.call("UntagResource", fmt.Sprintf(`{"ResourceArn":%q,"TagKeys":["apron:request-timeout"]}`, arn))
	w.call("TagResource", fmt.Sprintf(`{"ResourceArn":%q,"Tags":[{"Key":"apron:scale-on","Value":"cpu"}]}`, arn))
	w.refused("UntagResource", fmt.Sprintf(`{"ResourceArn":%q,"TagKeys":["apron:scale-on"]}`, arn), "InvalidRequestException", 400)
}

func TestAnUpdateDoesNotLowerMaxSizeBelowTheTagOfMinSize(t *testing.T) {
	w := newWorld(t)
	arn := w.running("webapp")
	w.call("TagResource", fmt.Sprintf(`{"ResourceArn":%q,"Tags":[{"Key":"apron:min-size","Value":"5"}]}`, arn))
	w.call("CreateAutoScalingConfiguration", `{"AutoScalingConfigurationName":"small","MaxSize":4}`)
	message := w.refused("UpdateService", fmt.Sprintf(`{"ServiceArn":%q,"AutoScalingConfigurationArn":`+
		`"arn:aws:apprunner:us-east-1:123456789012:autoscalingconfiguration/small"}`, arn), "InvalidRequestException", 400)
	if !strings.Contains(message, "apron:min-size is 5") || !strings.Contains(message, "4") {
		t.Error(message)
	}
}
