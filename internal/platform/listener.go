package platform

import "fmt"

// Listeners are the ports at which an apron's public services answer.
type Listeners struct {
	HTTPPort int
	// HTTPSPort is 0 where there is no HTTPS.
	HTTPSPort int
}

// URL is where the service with this host name answers: by HTTPS, as App Runner's do, where there is that.
func (l Listeners) URL(host string) string {
	switch {
	case l.HTTPSPort != 0:
		return urlOf("https", host, l.HTTPSPort, 443)
	case l.HTTPPort == 443: // something in front of apron ends TLS
		return urlOf("https", host, l.HTTPPort, 443)
	}
	return l.PlainURL(host)
}

// PlainURL is where it answers without TLS.
func (l Listeners) PlainURL(host string) string { return urlOf("http", host, l.HTTPPort, 80) }

// ServiceURL is what App Runner calls its ServiceUrl: the host name, with the port of HTTP unless 443 is one of them.
func (l Listeners) ServiceURL(host string) string {
	if l.HTTPPort == 443 || l.HTTPSPort == 443 {
		return host
	}
	return fmt.Sprintf("%s:%d", host, l.HTTPPort)
}

func urlOf(scheme, host string, port, usual int) string {
	if port == usual {
		return scheme + "://" + host
	}
	return fmt.Sprintf("%s://%s:%d", scheme, host, port)
}
