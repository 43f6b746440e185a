package host

import (
	"maps"
	"net/url"
	"slices"
	"strings"
)

// leastSecret is the shortest password that is taken out of texts: shorter ones are parts of ordinary words.
const leastSecret = 4

// Secrets are the passwords in the settings, as they are written and as they are meant. What a build prints must not hold them.
func (s Settings) Secrets() []string {
	var found []string
	values := append(slices.Collect(maps.Values(s.BuildEnvironment)), s.Proxy.HTTP, s.Proxy.HTTPS, s.Proxy.All, s.AptProxy, s.NPMRegistry, s.GoProxy)
	for _, value := range values {
		// Some variables hold several URLs.
		for _, word := range strings.FieldsFunc(value, func(c rune) bool { return c == ',' || c == '|' || c == ' ' }) {
			u, err := url.Parse(word)
			if err != nil || u.User == nil {
				continue
			}
			name := u.User.Username()
			password, hasPassword := u.User.Password()
			if !hasPassword || password == "" {
				password = name // a token stands there
			}
			_, written, _ := strings.Cut(u.User.String(), ":")
			found = append(found, password, written)
		}
	}
	slices.Sort(found)
	return slices.DeleteFunc(slices.Compact(found), func(secret string) bool { return len(secret) < leastSecret })
}
