package platform

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestTagsOfTrafficAreRead(t *testing.T) {
	usual := Traffic{FreezeAfter: time.Minute}
	with := func(edit func(*Traffic)) Traffic {
		traffic := usual
		edit(&traffic)
		return traffic
	}
	prefixes := func(texts ...string) (all []netip.Prefix) {
		for _, each := range texts {
			all = append(all, netip.MustParsePrefix(each))
		}
		return all
	}
	tests := map[string]struct {
		tags map[string]string
		want Traffic
	}{
		"no tags":                   {nil, usual},
		"tags of something else":    {map[string]string{"team": "a", TagBuild: "auto", "apron:other": ""}, usual},
		"HTTP/2":                    {map[string]string{TagProtocol: "h2c"}, with(func(t *Traffic) { t.Protocol = AppProtocolH2C })},
		"HTTP/1.1":                  {map[string]string{TagProtocol: "http1"}, usual},
		"times":                     {map[string]string{TagRequestTimeout: "2h", TagIdleTimeout: "90s"}, with(func(t *Traffic) { t.RequestTimeout, t.IdleTimeout = 2*time.Hour, 90*time.Second })},
		"the longest and the least": {map[string]string{TagRequestTimeout: "24h", TagIdleTimeout: "1s"}, with(func(t *Traffic) { t.RequestTimeout, t.IdleTimeout = 24*time.Hour, time.Second })},
		"never frozen":              {map[string]string{TagFreeze: "off"}, with(func(t *Traffic) { t.FreezeAfter = 0 })},
		"frozen as usual":           {map[string]string{TagFreeze: "on"}, usual},
		"frozen later":              {map[string]string{TagFreeze: "on", TagFreezeAfter: "1h30m"}, with(func(t *Traffic) { t.FreezeAfter = 90 * time.Minute })},
		"networks and addresses":    {map[string]string{TagAllowIPs: "10.0.0.0/8 192.168.1.7, 2001:db8::/32,::1"}, with(func(t *Traffic) { t.AllowIPs = prefixes("10.0.0.0/8", "192.168.1.7/32", "2001:db8::/32", "::1/128") })},
		"rules of paths": {map[string]string{TagPathRules: "deny:/admin/ https:/login,deny:/"}, with(func(t *Traffic) {
			t.PathRules = []PathRule{{"/admin", PathActionDeny}, {"/login", PathActionHTTPS}, {"/", PathActionDeny}}
		})},
		"redirected and compressed": {map[string]string{TagHTTPS: "redirect", TagCompression: "on"}, with(func(t *Traffic) { t.RedirectsToHTTPS, t.Compresses = true, true })},
		"neither":                   {map[string]string{TagHTTPS: "off", TagCompression: "off"}, usual},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseTraffic(test.tags)
			if diff := cmp.Diff(test.want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" || err != nil {
				t.Errorf("error %v, want and got:\n%s", err, diff)
			}
		})
	}
}

func TestTagsOfScalingAreRead(t *testing.T) {
	usual := Scaling{ToZeroAfter: 15 * time.Minute, On: ScaleOnConcurrency}
	tests := map[string]struct {
		tags map[string]string
		want Scaling
	}{
		"no tags":        {nil, usual},
		"to zero":        {map[string]string{TagMinSize: "0"}, Scaling{MinSize: new(0), ToZeroAfter: 15 * time.Minute, On: ScaleOnConcurrency}},
		"to zero soon":   {map[string]string{TagMinSize: "0", TagScaleToZeroAfter: "90s"}, Scaling{MinSize: new(0), ToZeroAfter: 90 * time.Second, On: ScaleOnConcurrency}},
		"more at least":  {map[string]string{TagMinSize: "3", TagScaleOn: "concurrency"}, Scaling{MinSize: new(3), ToZeroAfter: 15 * time.Minute, On: ScaleOnConcurrency}},
		"on CPU":         {map[string]string{TagScaleOn: "cpu"}, Scaling{ToZeroAfter: 15 * time.Minute, On: ScaleOnCPU, TargetPercent: 70}},
		"on half memory": {map[string]string{TagScaleOn: "memory", TagScaleTarget: "50"}, Scaling{ToZeroAfter: 15 * time.Minute, On: ScaleOnMemory, TargetPercent: 50}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseScaling(test.tags)
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("error %v, want and got:\n%s", err, diff)
			}
		})
	}
}

// Whatever is wrong, the error names the tag, the rest is read, and the wrong tag leaves the default.
func TestWrongTagsAreNamedAndCountAsAbsent(t *testing.T) {
	wrong := map[string][]string{
		TagProtocol:         {"", "h2", "H2C", "http/1.1"},
		TagRequestTimeout:   {"", "0s", "90", "-1s", "999ms", "24h1s", "2d", "forever"},
		TagIdleTimeout:      {"0", "25h"},
		TagFreeze:           {"", "yes", "OFF"},
		TagFreezeAfter:      {"0s", "1ms", "never"},
		TagAllowIPs:         {"", " ", "10.0.0.1/8", "10.0.0.0/33", "host", "fe80::1%eth0", "fe80::%eth0/64", "::ffff:10.0.0.1", "10.0.0.0/8 x", "10.0.0.0-10.0.0.9"},
		TagPathRules:        {"", "/admin", "deny", "deny:", "deny:admin", "allow:/", "deny:/a/../b", "deny:/a//b", "deny:/a/.", "deny://", "deny:/%61", "deny:/a?b", "deny:/a;b", `deny:/a\b`, "deny: /a"},
		TagHTTPS:            {"", "on", "Redirect"},
		TagCompression:      {"", "gzip"},
		TagMinSize:          {"", "-1", "1001", "1.5", "one"},
		TagScaleToZeroAfter: {"0s", "15"},
		TagScaleOn:          {"", "CPU", "requests"},
		TagScaleTarget:      {"0", "9", "91", "70%", "100"},
	}
	if len(wrong) != len(ServingTags()) {
		t.Errorf("of %d tags, %d are tried", len(ServingTags()), len(wrong))
	}
	for key, values := range wrong {
		for _, value := range values {
			isOne, err := CheckServingTag(key, value)
			if !isOne || err == nil || err.Tag != key {
				t.Errorf("%s=%q is checked as %v", key, value, err)
			}
			tags := map[string]string{key: value}
			traffic, badTraffic := ParseTraffic(tags)
			scaling, badScaling := ParseScaling(tags)
			if (badTraffic == nil) == (badScaling == nil) {
				t.Errorf("%s=%q: %v, %v", key, value, badTraffic, badScaling)
			}
			plainTraffic, _ := ParseTraffic(nil)
			plainScaling, _ := ParseScaling(nil)
			if diff := cmp.Diff(plainTraffic, traffic) + cmp.Diff(plainScaling, scaling); diff != "" {
				t.Errorf("%s=%q leaves more than the defaults:\n%s", key, value, diff)
			}
		}
	}
	traffic, err := ParseTraffic(map[string]string{TagRequestTimeout: "x", TagIdleTimeout: "y", TagCompression: "on"})
	if !traffic.Compresses || err == nil || !strings.Contains(err.Error(), TagRequestTimeout) || !strings.Contains(err.Error(), TagIdleTimeout) {
		t.Errorf("beside wrong tags: %+v, %v", traffic, err)
	}
}

func TestTagsThatMakeNoSenseTogetherAreWrong(t *testing.T) {
	tests := map[string]struct {
		tags map[string]string
		want string
	}{
		"frozen never, after an hour":      {map[string]string{TagFreeze: "off", TagFreezeAfter: "1h"}, TagFreezeAfter},
		"to zero, of a service that stays": {map[string]string{TagScaleToZeroAfter: "1h"}, TagScaleToZeroAfter},
		"to zero, at one at least":         {map[string]string{TagMinSize: "1", TagScaleToZeroAfter: "1h"}, TagScaleToZeroAfter},
		"a target of nothing":              {map[string]string{TagScaleTarget: "50"}, TagScaleTarget},
		"a target of concurrency":          {map[string]string{TagScaleOn: "concurrency", TagScaleTarget: "50"}, TagScaleTarget},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, badTraffic := ParseTraffic(test.tags)
			_, badScaling := ParseScaling(test.tags)
			err := badTraffic
			if err == nil {
				err = badScaling
			}
			if err == nil || !strings.Contains(err.Error(), "the tag "+test.want) {
				t.Errorf("got %v, want something about %s", err, test.want)
			}
		})
	}
}
