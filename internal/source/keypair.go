package source

import (
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net/http"
)

// KeyPair is apron's access key, which its own Git server and registry take as HTTP basic authentication: the access
// key id as user, the secret as password. It never prints its secret.
type KeyPair struct {
	ID     string
	Secret string
}

// Allows says whether the request carries this key pair, in a time that does not depend on where it differs. A key
// pair without an id or a secret allows nobody.
func (k KeyPair) Allows(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	return ok && k.Matches(user, password)
}

// Matches compares in a time that depends neither on where the values differ nor on their lengths.
func (k KeyPair) Matches(user, password string) bool {
	if k.ID == "" || k.Secret == "" {
		return false
	}
	return equal(user, k.ID)&equal(password, k.Secret) == 1
}

// equal compares digests, because ConstantTimeCompare answers at once when lengths differ.
func equal(a, b string) int {
	sumA, sumB := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(sumA[:], sumB[:])
}

func (k KeyPair) String() string { return k.ID + ":***" }

// GoString keeps the secret out of %#v too.
func (k KeyPair) GoString() string { return k.String() }

// LogValue keeps the secret out of logs.
func (k KeyPair) LogValue() slog.Value { return slog.StringValue(k.String()) }
