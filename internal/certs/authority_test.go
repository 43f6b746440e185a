package certs

import (
	"crypto/tls"
	"testing"
	"time"
)

func TestACertificateOfALaterTimeIsMadeAnew(t *testing.T) {
	const name = "abc.apron.localhost"
	a, err := OpenAuthority(t.TempDir(), "apron.localhost")
	if err != nil {
		t.Fatal(err)
	}
	if a.leaves[name], err = a.sign(time.Now().Add(48*time.Hour), name); err != nil { // before the clock was set back
		t.Fatal(err)
	}
	found, err := a.GetCertificate(&tls.ClientHelloInfo{ServerName: name})
	if err != nil || !isValid(found, time.Now()) {
		t.Errorf("it is valid from %v, %v", found.Leaf.NotBefore, err)
	}
}
