package certs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apron-run/apron/internal/certs"
)

const testDomain = "apron.localhost"

func hello(name string) *tls.ClientHelloInfo { return &tls.ClientHelloInfo{ServerName: name} }

// certificate returns the leaf for a name, or nil where there is none.
func certificate(t *testing.T, source certs.Source, name string) *x509.Certificate {
	t.Helper()
	found, err := source.GetCertificate(hello(name))
	if err != nil {
		t.Fatal(err)
	}
	if found == nil {
		return nil
	}
	return found.Leaf
}

func authority(t *testing.T, dir string) *certs.Authority {
	t.Helper()
	opened, err := certs.OpenAuthority(dir, testDomain)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// trust returns the pool of a client that trusts the authority.
func trust(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	_, root, err := certs.Root(dir, testDomain)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	return pool
}

func TestAnAuthorityDerivesTheSameKeyAtEachStart(t *testing.T) {
	dir, keys := t.TempDir(), map[[32]byte]bool{}
	for _, purpose := range []string{"one", "one", "another"} {
		authority, err := certs.OpenAuthority(dir, testDomain)
		if err != nil {
			t.Fatal(err)
		}
		key, err := authority.Derive(purpose)
		if err != nil {
			t.Fatal(err)
		}
		keys[key] = true
	}
	if len(keys) != 2 || keys[[32]byte{}] {
		t.Errorf("two purposes have the keys %v", keys)
	}
}

func TestAnAuthoritySignsForNamesBelowItsDomainAndForNoOther(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	if _, _, err := certs.Root(dir, testDomain); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before the first start the root is %v", err)
	}
	a := authority(t, dir)
	for asked, want := range map[string]string{
		"abc.us-east-1.apron.localhost":  "abc.us-east-1.apron.localhost",
		"ABC.us-east-1.Apron.localhost.": "abc.us-east-1.apron.localhost",
		"":                               testDomain, // a client that connects to an address
		testDomain:                       testDomain,
	} {
		leaf := certificate(t, a, asked)
		if leaf == nil {
			t.Fatalf("%q gets no certificate", asked)
		}
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: want, Roots: trust(t, dir)}); err != nil {
			t.Errorf("%q: %v", asked, err)
		}
	}
	for _, name := range []string{"example.com", "apron.localhost.example.com", "xapron.localhost", "127.0.0.1"} {
		if leaf := certificate(t, a, name); leaf != nil {
			t.Errorf("%s gets a certificate for %v", name, leaf.DNSNames)
		}
	}
}

func TestAnAuthoritysKeyIsForItsOwnerOnlyAndStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	authority(t, dir)
	info, err := os.Stat(certs.AuthorityFile(dir, testDomain))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v", info.Mode())
	}
	leaf := certificate(t, authority(t, dir), "abc."+testDomain) // as after a restart
	if _, err := leaf.Verify(x509.VerifyOptions{DNSName: "abc." + testDomain, Roots: trust(t, dir)}); err != nil {
		t.Error(err)
	}
	text, root, err := certs.Root(dir, testDomain)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "PRIVATE") {
		t.Error("the root's text holds the key")
	}
	if names := root.PermittedDNSDomains; len(names) != 1 || names[0] != testDomain || !root.PermittedDNSDomainsCritical {
		t.Errorf("the root is good for %q", names)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("the folder holds %v", entries)
	}
}

func TestAFileThatHoldsNoAuthorityIsNamed(t *testing.T) {
	dir := t.TempDir()
	path := certs.AuthorityFile(dir, testDomain)
	if err := os.WriteFile(path, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := certs.OpenAuthority(dir, testDomain); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("it says %v", err)
	}
}

func TestACertificateIsKeptAndRenewedBeforeItsEnd(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a := authority(t, dir)
		name := "abc." + testDomain
		first := certificate(t, a, name)
		time.Sleep(59 * 24 * time.Hour)
		if again := certificate(t, a, name); again != first {
			t.Error("it is made anew when it is valid for another month")
		}
		time.Sleep(2 * 24 * time.Hour)
		renewed := certificate(t, a, name)
		if renewed == first || time.Until(renewed.NotAfter) < 89*24*time.Hour {
			t.Errorf("it is valid until %v, and now it is %v", renewed.NotAfter, time.Now())
		}
	})
}

// writePair writes a certificate and its key, signed by itself, and moves their time so that a change is seen.
func writePair(t *testing.T, chain, key string, serial int64, names ...string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: names, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{chain: {Type: "CERTIFICATE", Bytes: signed}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		stamp := time.Unix(1_700_000_000+serial, 0)
		if err := os.Chtimes(path, stamp, stamp); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFilesAreChosenByNameAndReadAgainWhenTheyChange(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	writePair(t, in("one.crt"), in("one.key"), 1, "one.example.org", "www.one.example.org")
	writePair(t, in("wild.pem"), in("wild.key"), 2, "*.example.org")
	writePair(t, in("live/fullchain.pem"), in("live/privkey.pem"), 3, "live.example.org")
	writePair(t, in("live/cert.pem"), in("spare/x.key"), 4, "live.example.org")
	if err := certs.CheckFiles(dir); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		files := certs.OpenFiles(dir, slog.New(slog.NewTextHandler(&log, nil)))
		want := func(name string, serial int64) {
			t.Helper()
			leaf := certificate(t, files, name)
			if leaf == nil && serial != 0 || leaf != nil && leaf.SerialNumber.Int64() != serial {
				t.Errorf("%s gets %v, want %d", name, leaf, serial)
			}
		}
		want("one.example.org", 1)
		want("WWW.one.example.org", 1)
		want("other.example.org", 2)
		want("a.b.example.org", 0)
		want("example.org", 0)
		want("live.example.org", 3)
		want("", 0)

		writePair(t, in("one.crt"), in("one.key"), 5, "one.example.org")
		writePair(t, in("new.crt"), in("new.key"), 6, "new.example.org")
		if err := os.Remove(in("wild.pem")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		want("one.example.org", 5)
		want("new.example.org", 6)
		want("other.example.org", 0)

		if err := os.WriteFile(in("new.crt"), []byte("half a fi"), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			time.Sleep(3 * time.Second)
			want("new.example.org", 6)
		}
		if n := strings.Count(log.String(), in("new.crt")); n != 1 {
			t.Errorf("the broken file is told %d times: %s", n, log.String())
		}
	})
}

func TestACertificateThatHasEndedIsTheLastChoiceAndIsTold(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	writePair(t, in("old.crt"), in("old.key"), 1, "shop.example.org", "alone.example.com") // ends in an hour
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Now().AddDate(60, 0, 0))) // far behind the time outside
		writePair(t, in("wild.crt"), in("wild.key"), 2, "*.example.org")
		var log strings.Builder
		files := certs.OpenFiles(dir, slog.New(slog.NewTextHandler(&log, nil)))
		for name, want := range map[string]int64{"shop.example.org": 2, "alone.example.com": 1} {
			if leaf := certificate(t, files, name); leaf == nil || leaf.SerialNumber.Int64() != want {
				t.Errorf("%s gets %v, want %d", name, leaf, want)
			}
		}
		time.Sleep(3 * time.Second)
		certificate(t, files, "shop.example.org")
		if n := strings.Count(log.String(), in("old.crt")+" has ended"); n != 1 || strings.Contains(log.String(), "wild.crt") {
			t.Errorf("what has ended is told %d times: %s", n, log.String())
		}
	})
}

func TestWhatIsWrongWithFilesIsNamed(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	writePair(t, in("lonely.crt"), in("elsewhere.key"), 1, "lonely.example.org")
	writePair(t, in("a.crt"), in("b.key"), 2, "a.example.org")
	writePair(t, in("b.crt"), in("a.key"), 3, "b.example.org")
	writePair(t, in("nameless.crt"), in("nameless.key"), 4)
	err := certs.CheckFiles(dir)
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	for _, part := range []string{"it belongs into " + in("lonely.key"), in("a.crt") + ": tls: private key does not match", in("nameless.crt") + ": it is for no DNS name"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
	if err := certs.CheckFiles(in("nowhere")); err == nil || !strings.Contains(err.Error(), in("nowhere")) {
		t.Errorf("it says %v", err)
	}
}

func TestSourcesAreAskedInTheirOrder(t *testing.T) {
	dir, folder := t.TempDir(), t.TempDir()
	writePair(t, filepath.Join(folder, "own.crt"), filepath.Join(folder, "own.key"), 1, "own."+testDomain)
	sources := certs.Sources{certs.OpenFiles(folder, slog.New(slog.DiscardHandler)), authority(t, dir)}
	if leaf := certificate(t, sources, "own."+testDomain); leaf.SerialNumber.Int64() != 1 {
		t.Error("the authority signs for a name that has a certificate")
	}
	if certificate(t, sources, "other."+testDomain) == nil {
		t.Error("the authority is not asked")
	}
	if certificate(t, sources, "example.org") != nil {
		t.Error("a name of nobody has a certificate")
	}
}
