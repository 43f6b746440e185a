package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

const (
	// rootFor is how long an authority's root is valid, leafFor how long a certificate of it. One that ends within renewBefore
	// is replaced.
	rootFor     = 10 * 365 * 24 * time.Hour
	leafFor     = 90 * 24 * time.Hour
	renewBefore = 30 * 24 * time.Hour
	// backdated is how much earlier than it was made a certificate is valid, for clients whose clocks are late.
	backdated = time.Hour
	// maxLeaves bounds the certificates that are kept. One that was dropped is made again in less than a millisecond.
	maxLeaves = 10_000
)

// Authority signs certificates for the names below its domain, and for no other: its root says so itself, so that a client which
// trusts it does not trust it with any other name, even if its key is stolen. Whoever asks it sees to it that the name is a
// service's.
type Authority struct {
	domain string
	root   *x509.Certificate
	key    *ecdsa.PrivateKey

	mu     sync.Mutex // guards leaves
	leaves map[string]*tls.Certificate
}

// AuthorityFile is where the authority of a domain has its root and its key. Another domain has another authority.
func AuthorityFile(dir, domain string) string { return filepath.Join(dir, "authority-"+domain+".pem") }

// OpenAuthority reads the authority of a domain from the folder, and makes it when there is none.
func OpenAuthority(dir, domain string) (*Authority, error) {
	path := AuthorityFile(dir, domain)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if content, err = newAuthority(time.Now(), domain); err == nil {
			content, err = createFile(path, content)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open the local authority: %w", err)
	}
	pair, err := tls.X509KeyPair(content, content)
	if err != nil {
		return nil, platform.Explain(err, "%s holds no authority (%v): put it back from a backup, or remove it and the next start makes another one, which clients have to trust anew", path, err)
	}
	key, isECDSA := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !isECDSA || !pair.Leaf.IsCA {
		return nil, platform.Explain(nil, "%s holds another certificate than that of an authority: remove it and the next start makes one", path)
	}
	return &Authority{domain: domain, root: pair.Leaf, key: key, leaves: map[string]*tls.Certificate{}}, nil
}

// Root reads the certificate of a domain's authority, in PEM. fs.ErrNotExist before it was made.
func Root(dir, domain string) ([]byte, *x509.Certificate, error) {
	content, err := os.ReadFile(AuthorityFile(dir, domain))
	if err != nil {
		return nil, nil, err
	}
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			root, err := x509.ParseCertificate(block.Bytes)
			return pem.EncodeToMemory(block), root, err
		}
	}
	return nil, nil, fmt.Errorf("%s holds no certificate", AuthorityFile(dir, domain))
}

// newAuthority makes the key and the root of an authority, in PEM.
func newAuthority(now time.Time, domain string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(public)
	all4, all6 := net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}, net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
	root := &x509.Certificate{
		SerialNumber: newSerial(),
		// The end tells apart authorities that were made for one domain, in lists of what is trusted.
		Subject:   pkix.Name{Organization: []string{"apron"}, CommonName: fmt.Sprintf("apron authority %x", id[:4])},
		NotBefore: now.Add(-backdated), NotAfter: now.Add(rootFor),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{domain}, ExcludedIPRanges: []*net.IPNet{&all4, &all6},
	}
	signed, err := x509.CreateCertificate(rand.Reader, root, root, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	content := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})
	return append(content, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), nil
}

// createFile writes a file that only root can read, whole or not at all, unless another process has just done so: then it
// returns that one's content.
func createFile(path string, content []byte) (_ []byte, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".authority-*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	_, err = file.Write(content)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return nil, err
	}
	if err := os.Link(file.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.ReadFile(path)
}

// Derive returns a key of the authority's for a purpose, the same at each start. It tells nothing of the authority's own key.
func (a *Authority) Derive(purpose string) (derived [32]byte, err error) {
	secret, err := a.key.Bytes()
	if err != nil {
		return derived, err
	}
	content, err := hkdf.Key(sha256.New, secret, nil, purpose, len(derived))
	copy(derived[:], content)
	return derived, err
}

// GetCertificate signs for a name below the domain, and for the domain itself if the client names none, as with an address.
func (a *Authority) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name := canonicalName(hello.ServerName)
	if name == "" {
		name = a.domain
	}
	if name != a.domain && !strings.HasSuffix(name, "."+a.domain) {
		return nil, nil
	}
	now := time.Now()
	a.mu.Lock()
	found := a.leaves[name]
	a.mu.Unlock()
	if found != nil && isValid(found, now.Add(renewBefore)) && isValid(found, now) { // the clock may have been set back
		return found, nil
	}
	made, err := a.sign(now, name)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate for %s: %w", name, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for other := range a.leaves {
		if len(a.leaves) < maxLeaves {
			break
		}
		delete(a.leaves, other)
	}
	a.leaves[name] = made
	return made, nil
}

func (a *Authority) sign(now time.Time, name string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{Organization: []string{"apron"}}, DNSNames: []string{name},
		NotBefore: now.Add(-backdated), NotAfter: now.Add(leafFor), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, leaf, a.root, &key.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(signed)
	return &tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key, Leaf: parsed}, err
}

// newSerial returns 127 random bits: a serial number is positive and has 20 bytes at most.
func newSerial() *big.Int {
	var raw [16]byte
	rand.Read(raw[:]) // never fails (crypto/rand)
	raw[0] &= 0x7f
	return new(big.Int).SetBytes(raw[:])
}

// canonicalName is a name of a handshake in lower case, without the dot that may end it.
func canonicalName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
