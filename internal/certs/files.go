package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

const (
	// lookEvery is how often the files are looked at, when a handshake asks.
	lookEvery = 2 * time.Second
	// maxPairs bounds the certificates of a folder.
	maxPairs = 10_000
)

// Files are certificates in a folder and in those right below it: NAME.crt or NAME.pem with the chain and NAME.key beside it, or
// fullchain.pem with privkey.pem, as ACME clients write them. Each is for the names that it holds, wildcards too. Files that
// change are read again; what cannot be read any more stays as it was.
type Files struct {
	dir string
	log *slog.Logger
	// names are the certificates by their names.
	names atomic.Pointer[map[string]*tls.Certificate]

	mu      sync.Mutex // guards the members below, and is held while files are read
	looked  time.Time
	pairs   map[string]pair // by the chain's path
	problem string          // what was logged last
}

// pair is a certificate and what its files were like when it was read.
type pair struct {
	certificate *tls.Certificate
	stamp       string
}

// OpenFiles reads the certificates of a folder. What is wrong with some of them goes to the log, and the others count.
func OpenFiles(dir string, log *slog.Logger) *Files {
	f := &Files{dir: dir, log: log}
	f.names.Store(&map[string]*tls.Certificate{})
	f.look(time.Now())
	return f
}

// CheckFiles says everything that is wrong with the certificates of a folder.
func CheckFiles(dir string) error {
	_, err := readPairs(dir, nil)
	return err
}

// GetCertificate returns the certificate for the handshake's name: that of the name itself, or else that of a wildcard. One that has ended
// is better than none: it says what is wrong.
func (f *Files) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	now := time.Now()
	if f.mu.TryLock() { // otherwise somebody is at it
		if now.Sub(f.looked) >= lookEvery {
			f.look(now)
		}
		f.mu.Unlock()
	}
	names, name := *f.names.Load(), canonicalName(hello.ServerName)
	_, rest, _ := strings.Cut(name, ".")
	found, wild := names[name], names["*."+rest]
	if found == nil || wild != nil && isValid(wild, now) && !isValid(found, now) {
		return wild, nil
	}
	return found, nil
}

func isValid(certificate *tls.Certificate, now time.Time) bool {
	return !now.Before(certificate.Leaf.NotBefore) && now.Before(certificate.Leaf.NotAfter)
}

// isBetter says whether one certificate is to be used rather than another for the same name.
func isBetter(one, other *tls.Certificate, now time.Time) bool {
	if isValid(one, now) != isValid(other, now) {
		return isValid(one, now)
	}
	return one.Leaf.NotAfter.After(other.Leaf.NotAfter)
}

// look reads what has changed. Callers hold mu, but for the first time.
func (f *Files) look(now time.Time) {
	f.looked = now
	pairs, err := readPairs(f.dir, f.pairs)
	for _, chain := range slices.Sorted(maps.Keys(pairs)) {
		if ends := pairs[chain].certificate.Leaf.NotAfter; !now.Before(ends) {
			err = errors.Join(err, platform.Explain(nil, "certificate %s has ended at %s: renew it, or remove it", chain, ends.UTC().Format(time.RFC3339)))
		}
	}
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	if problem != f.problem && err != nil {
		f.log.Error("read certificates", "folder", f.dir, "error", err)
	}
	f.pairs, f.problem = pairs, problem
	names := map[string]*tls.Certificate{}
	for _, each := range pairs {
		for _, name := range each.certificate.Leaf.DNSNames {
			name = canonicalName(name)
			if other := names[name]; other == nil || isBetter(each.certificate, other, now) {
				names[name] = each.certificate
			}
		}
	}
	f.names.Store(&names)
}

// readPairs reads the pairs of a folder that are not as before. One that cannot be read is as before, if it was there.
func readPairs(dir string, before map[string]pair) (map[string]pair, error) {
	chains, err := listChains(dir)
	if err != nil {
		return before, err
	}
	pairs := map[string]pair{}
	var problems []error
	for _, chain := range chains {
		known, wasThere := before[chain]
		stamp, key, err := stampPair(chain)
		if err == nil && wasThere && known.stamp == stamp {
			pairs[chain] = known
			continue
		}
		var certificate tls.Certificate
		if err == nil {
			certificate, err = tls.LoadX509KeyPair(chain, key)
		}
		if err == nil && len(certificate.Leaf.DNSNames) == 0 {
			err = errors.New("it is for no DNS name (subjectAltName)")
		}
		switch {
		case err == nil:
			pairs[chain] = pair{&certificate, stamp}
		case wasThere:
			pairs[chain] = known
			fallthrough
		default:
			problems = append(problems, platform.Explain(err, "certificate %s: %v", chain, err))
		}
	}
	return pairs, errors.Join(problems...)
}

// listChains returns the paths of the certificates in a folder and in those right below it.
func listChains(dir string) (chains []string, err error) {
	if _, err := os.ReadDir(dir); err != nil {
		return nil, platform.Explain(err, "the folder of certificates %s cannot be read: %v", dir, err)
	}
	for _, pattern := range []string{"*.crt", "*.pem", "*/*.crt", "*/*.pem"} {
		found, err := filepath.Glob(filepath.Join(escapeGlob(dir), pattern))
		if err != nil {
			return nil, err
		}
		chains = append(chains, found...)
	}
	chains = slices.DeleteFunc(chains, func(path string) bool { return !isChain(path) })
	if len(chains) > maxPairs {
		return nil, platform.Explain(nil, "the folder of certificates %s holds %d of them; %d is the most", dir, len(chains), maxPairs)
	}
	slices.Sort(chains)
	return chains, nil
}

// isChain says whether a file is one with a certificate that has a key. Beside fullchain.pem lie cert.pem and chain.pem, its parts.
func isChain(path string) bool {
	folder, name := filepath.Split(path)
	switch name {
	case "fullchain.pem":
		return true
	case "privkey.pem":
		return false
	case "cert.pem", "chain.pem":
		_, err := os.Stat(filepath.Join(folder, "fullchain.pem"))
		return err != nil
	}
	return true
}

// keyOf is where the key of a certificate lies.
func keyOf(chain string) string {
	if filepath.Base(chain) == "fullchain.pem" {
		return filepath.Join(filepath.Dir(chain), "privkey.pem")
	}
	return strings.TrimSuffix(chain, filepath.Ext(chain)) + ".key"
}

// stampPair tells files apart from those that were there before, without reading them.
func stampPair(chain string) (stamp, key string, err error) {
	key = keyOf(chain)
	for _, path := range []string{chain, key} {
		info, err := os.Stat(path) // of what a link leads to
		if errors.Is(err, fs.ErrNotExist) && path == key {
			return "", key, fmt.Errorf("its key is not there; it belongs into %s", key)
		}
		if err != nil {
			return "", key, err
		}
		stamp += fmt.Sprintf("%d %d ", info.ModTime().UnixNano(), info.Size())
	}
	return stamp, key, nil
}

// escapeGlob makes a pattern that stands for the path itself.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
