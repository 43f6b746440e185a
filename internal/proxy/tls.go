package proxy

import (
	"crypto/tls"
	"net/http"
)

// clientProtocols are what clients may speak: HTTP/1.1 and HTTP/2, which a handshake chooses, or a client without TLS by
// beginning to speak it.
func clientProtocols() *http.Protocols {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return protocols
}

// tlsConfig is for clients: TLS 1.2 or newer, with the ciphers and session tickets of the standard library.
func (p *Proxy) tlsConfig() *tls.Config {
	if p.config.Certificates == nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: p.certificate}
}

// certificate returns that of a handshake. A name that no public host has gets none, which tells the client that the name is
// not known here: nothing is ever signed for it, and a private host's name is not given away.
func (p *Proxy) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if name := canonicalHost(hello.ServerName); name != "" && p.table.Load().public.find(name) == nil {
		return nil, nil
	}
	return p.config.Certificates(hello)
}
