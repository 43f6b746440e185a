package platform

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// TagError says which tag is wrong, and by which rule.
type TagError struct {
	Tag string
	// Rule follows the tag's name or its value's: "must be …".
	Rule string
	// Other is another tag that the rule is about; empty when there is none.
	Other string
}

func (e *TagError) Error() string { return fmt.Sprintf("the tag %s %s", e.Tag, e.Rule) }

const (
	// minTagTime and maxTagTime bound every time that a tag tells.
	minTagTime = time.Second
	maxTagTime = 24 * time.Hour
	// maxTagSize bounds the instances that a tag asks for; MaxSize of the auto scaling configuration bounds them closer.
	maxTagSize = 1000

	minScaleTarget = 10
	maxScaleTarget = 90
)

// serving is what tags say of how a service runs.
type serving struct {
	Traffic
	Scaling
}

// servingTag reads the value of one tag. rule is what an error says of a value that cannot be read.
type servingTag struct {
	key  string
	rule string
	read func(value string, into *serving) bool
}

// trafficTags and scalingTags are in the order in which errors tell of them.
var trafficTags = []servingTag{
	{TagProtocol, "must be http1 or h2c", func(value string, into *serving) bool {
		into.Protocol = AppProtocolHTTP1
		if value == string(AppProtocolH2C) {
			into.Protocol = AppProtocolH2C
		}
		return value == "http1" || value == string(AppProtocolH2C)
	}},
	{TagRequestTimeout, timeRule, func(value string, into *serving) bool { return readTime(value, &into.RequestTimeout) }},
	{TagIdleTimeout, timeRule, func(value string, into *serving) bool { return readTime(value, &into.IdleTimeout) }},
	{TagFreeze, "must be on or off", func(value string, into *serving) bool {
		if value == "off" {
			into.FreezeAfter = 0
		}
		return value == "on" || value == "off"
	}},
	{TagFreezeAfter, timeRule, func(value string, into *serving) bool { return readTime(value, &into.FreezeAfter) }},
	{TagAllowIPs, "must list networks or addresses, such as 10.0.0.0/8 192.168.1.7, and nothing but zeros may follow a network's prefix", func(value string, into *serving) bool {
		prefixes, ok := ParsePrefixes(value)
		into.AllowIPs = prefixes
		return ok
	}},
	{TagPathRules, "must list rules, such as deny:/admin https:/login: deny or https, and a path that begins with / and is written " +
		"without %, ?, #, \\, ;, double slashes or dot segments", func(value string, into *serving) bool {
		return readPathRules(value, &into.PathRules)
	}},
	{TagHTTPS, "must be redirect or off", func(value string, into *serving) bool {
		into.RedirectsToHTTPS = value == "redirect"
		return value == "redirect" || value == "off"
	}},
	{TagCompression, "must be on or off", func(value string, into *serving) bool {
		into.Compresses = value == "on"
		return value == "on" || value == "off"
	}},
}

var scalingTags = []servingTag{
	{TagMinSize, fmt.Sprintf("must be a number of instances, from 0 to %d", maxTagSize), func(value string, into *serving) bool {
		into.MinSize = new(int)
		return readNumber(value, 0, maxTagSize, into.MinSize)
	}},
	{TagScaleToZeroAfter, timeRule, func(value string, into *serving) bool { return readTime(value, &into.ToZeroAfter) }},
	{TagScaleOn, "must be concurrency, cpu or memory", func(value string, into *serving) bool {
		into.On = ScaleMetric(value)
		return slices.Contains([]ScaleMetric{ScaleOnConcurrency, ScaleOnCPU, ScaleOnMemory}, into.On)
	}},
	{TagScaleTarget, fmt.Sprintf("must be a percentage from %d to %d, such as 70", minScaleTarget, maxScaleTarget), func(value string, into *serving) bool {
		return readNumber(value, minScaleTarget, maxScaleTarget, &into.TargetPercent)
	}},
}

const timeRule = "must be a time such as 90s, 15m or 2h, from 1s to 24h"

// ParseTraffic reads what a service's tags say of its traffic. Tags that it does not know are not its matter. The error joins a
// TagError for each tag that is wrong; what is returned beside it has the defaults in place of those.
func ParseTraffic(tags map[string]string) (Traffic, error) {
	read, err := parseTags(trafficTags, tags, serving{Traffic: defaultTraffic()})
	if tags[TagFreeze] == "off" && has(tags, TagFreezeAfter) {
		read.FreezeAfter = 0
		err = errors.Join(err, &TagError{Tag: TagFreezeAfter, Rule: fmt.Sprintf("makes no sense with %s=off", TagFreeze), Other: TagFreeze})
	}
	return read.Traffic, err
}

// ParseScaling reads what a service's tags say of its size, as ParseTraffic does.
func ParseScaling(tags map[string]string) (Scaling, error) {
	read, err := parseTags(scalingTags, tags, serving{Scaling: Scaling{ToZeroAfter: DefaultToZeroAfter, On: ScaleOnConcurrency}})
	if has(tags, TagScaleToZeroAfter) && (read.MinSize == nil || *read.MinSize > 0) {
		read.ToZeroAfter = DefaultToZeroAfter
		err = errors.Join(err, &TagError{Tag: TagScaleToZeroAfter, Rule: fmt.Sprintf("makes sense only with %s=0", TagMinSize), Other: TagMinSize})
	}
	switch {
	case read.On == ScaleOnConcurrency:
		read.TargetPercent = 0
		if has(tags, TagScaleTarget) {
			err = errors.Join(err, &TagError{
				Tag: TagScaleTarget, Other: TagScaleOn,
				Rule: fmt.Sprintf("makes sense only with %s=cpu or %s=memory: concurrency's target is MaxConcurrency", TagScaleOn, TagScaleOn),
			})
		}
	case read.TargetPercent == 0:
		read.TargetPercent = DefaultTargetPercent
	}
	return read.Scaling, err
}

func defaultTraffic() Traffic { return Traffic{FreezeAfter: DefaultFreezeAfter} }

// CheckServingTag checks the value of one tag of traffic or scaling by itself; isOne is false for any other tag. wrong is nil for a
// value that is right.
func CheckServingTag(key, value string) (isOne bool, wrong *TagError) {
	for _, tag := range slices.Concat(trafficTags, scalingTags) {
		switch {
		case tag.key != key:
		case tag.read(value, &serving{}):
			return true, nil
		default:
			return true, &TagError{Tag: key, Rule: tag.rule}
		}
	}
	return false, nil
}

// ServingTags are the keys of all tags of traffic and scaling.
func ServingTags() (keys []string) {
	for _, tag := range slices.Concat(trafficTags, scalingTags) {
		keys = append(keys, tag.key)
	}
	return keys
}

// parseTags reads the tags that are there over the defaults.
func parseTags(known []servingTag, tags map[string]string, defaults serving) (serving, error) {
	var errs []error
	into := defaults
	for _, tag := range known {
		value, isThere := tags[tag.key]
		if !isThere {
			continue
		}
		before := into
		if !tag.read(value, &into) {
			into = before
			errs = append(errs, &TagError{Tag: tag.key, Rule: tag.rule})
		}
	}
	return into, errors.Join(errs...)
}

func has(tags map[string]string, key string) bool {
	_, is := tags[key]
	return is
}

func readTime(value string, into *time.Duration) bool {
	d, err := time.ParseDuration(value)
	*into = d
	return err == nil && d >= minTagTime && d <= maxTagTime
}

func readNumber(value string, low, high int, into *int) bool {
	n, err := strconv.Atoi(value)
	*into = n
	return err == nil && n >= low && n <= high
}

// listOf splits a list, which spaces or commas part.
func listOf(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == ',' })
}
