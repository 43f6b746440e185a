package certs

import "crypto/tls"

// Source has the certificates that services are known by. Files and an Authority are Sources; what gets certificates by ACME will
// be one more.
type Source interface {
	// GetCertificate returns the certificate for a TLS handshake, and nil where the Source has none for its name. A handshake
	// waits for it, so it must be quick.
	GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error)
}

// Sources are asked one after the other.
type Sources []Source

// GetCertificate returns the first one's that has a certificate. A failure counts only where none has.
func (s Sources) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	var problem error
	for _, each := range s {
		found, err := each.GetCertificate(hello)
		if found != nil {
			return found, nil
		}
		if problem == nil {
			problem = err
		}
	}
	return nil, problem
}
