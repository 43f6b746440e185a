package platform

import (
	"net/netip"
	"path"
	"strings"
)

// ParsePrefixes reads a list of networks and addresses, which spaces or commas part; false when one of them is none, or there is none:
// an empty list of who is allowed would allow everybody, which nobody means by it.
func ParsePrefixes(value string) (prefixes []netip.Prefix, ok bool) {
	for _, each := range listOf(value) {
		prefix, err := netip.ParsePrefix(each)
		if address, notAddress := netip.ParseAddr(each); notAddress == nil {
			prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil || prefix != prefix.Masked() || strings.Contains(each, "%") || prefix.Addr().Is4In6() {
			return nil, false
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, len(prefixes) > 0
}

// readPathRules reads the rules of TagPathRules. Their prefixes are as the data plane compares them: without a slash at the end,
// but for "/" itself.
func readPathRules(value string, into *[]PathRule) bool {
	var rules []PathRule
	for _, each := range listOf(value) {
		action, prefix, _ := strings.Cut(each, ":")
		switch PathAction(action) {
		case PathActionDeny, PathActionHTTPS:
		default:
			return false
		}
		clean := path.Clean(prefix)
		if !strings.HasPrefix(prefix, "/") || strings.ContainsAny(prefix, `%?#\;`) || strings.TrimSuffix(prefix, "/") != strings.TrimSuffix(clean, "/") {
			return false
		}
		rules = append(rules, PathRule{clean, PathAction(action)})
	}
	*into = rules
	return len(rules) > 0
}
