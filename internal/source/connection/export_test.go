package connection

import "time"

// SetAPI lets a test stand in for the API of every host, and for the clock.
func SetAPI(c *Connections, url string, now func() time.Time) {
	c.apps.url, c.apps.now = func(string) string { return url }, now
}

// APIURL exports apiURL.
func APIURL(host string) string { return apiURL(host) }
