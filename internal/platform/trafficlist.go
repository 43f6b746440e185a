package platform

import (
	"net/netip"
	"path"
	"strings"
)

// readPrefixes reads the networks of TagAllowIPs. A list without any would allow everybody, which nobody means by it.
func readPrefixes(value string, into *[]netip.Prefix) bool {
	var prefixes []netip.Prefix
	for _, each := range listOf(value) {
		prefix, err := netip.ParsePrefix(each)
		if address, notAddress := netip.ParseAddr(each); notAddress == nil {
			prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil || prefix != prefix.Masked() || strings.Contains(each, "%") || prefix.Addr().Is4In6() {
			return false
		}
		prefixes = append(prefixes, prefix)
	}
	*into = prefixes
	return len(prefixes) > 0
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
