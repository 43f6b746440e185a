package deploy

import "net/url"

// RedactURL returns a repository's URL without the user name and password it may carry, for logs.
func RedactURL(repository string) string {
	parsed, err := url.Parse(repository)
	if err != nil || parsed.User == nil {
		return repository
	}
	parsed.User = nil
	return parsed.String()
}
