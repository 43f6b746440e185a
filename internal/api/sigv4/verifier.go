package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeFormat = "20060102T150405Z"
	dateFormat = "20060102"

	// maxSkew is how far a signing time may be from now.
	maxSkew = 5 * time.Minute
	// maxExpires is the longest life of a presigned URL.
	maxExpires = 7 * 24 * time.Hour
)

// Verifier checks signatures. Its fields are set once; its methods may be called at the same time.
type Verifier struct {
	// Secret returns the secret key of an access key id.
	Secret func(accessKeyID string) (secret string, isKnown bool)
	// Region is the one that requests must be signed for.
	Region string
	// SigningNames are the services that requests may be signed for: "apprunner".
	SigningNames []string
	// Now is the clock.
	Now func() time.Time

	// lastKey is the key that the last good or bad signature was computed with. Clients of one apron sign with the same
	// one all day, and to derive it takes longer than to use it.
	lastKey atomic.Pointer[signingKey]
}

// signingKey is derived from a secret, for one scope.
type signingKey struct {
	secret string
	scope  scope
	key    []byte
}

// Identity is who signed a request, and for which service.
type Identity struct {
	AccessKeyID string
	SigningName string
}

// Problem is a class of refusal.
type Problem int

const (
	// ProblemMissing: the request is not signed at all.
	ProblemMissing Problem = iota + 1
	// ProblemIncomplete: the signature cannot be read, or leaves out what must be signed.
	ProblemIncomplete
	// ProblemUnknownKey: nobody has that access key.
	ProblemUnknownKey
	// ProblemInvalid: the signature is for something else, or from another time.
	ProblemInvalid
)

// Error says why a request is refused. Its text is for the caller.
type Error struct {
	Problem Problem
	Text    string
}

func (e *Error) Error() string { return e.Text }

// signature is what a request says of its signature.
type signature struct {
	accessKeyID string
	scope       scope
	// signedHeaders are lower-case names in order.
	signedHeaders []string
	value         string
	at            time.Time
	// expires is how long a presigned URL lives; 0 for a signature in the header.
	expires     time.Duration
	isPresigned bool
}

// scope is where and when a signature holds.
type scope struct{ date, region, signingName string }

func (s scope) String() string {
	return s.date + "/" + s.region + "/" + s.signingName + "/" + terminator
}

// Verify checks the signature of a request whose whole body was read. The error is an *Error.
func (v *Verifier) Verify(r *http.Request, body []byte) (Identity, error) {
	signed, err := readSignature(r)
	if err != nil {
		return Identity{}, err
	}
	if err := v.checkScope(signed); err != nil {
		return Identity{}, err
	}
	if err := v.checkTime(signed); err != nil {
		return Identity{}, err
	}
	if err := checkSignedHeaders(r, signed); err != nil {
		return Identity{}, err
	}
	payload, err := payloadHash(r, body)
	if err != nil {
		return Identity{}, err
	}
	secret, isKnown := v.Secret(signed.accessKeyID)
	if !isKnown {
		return Identity{}, &Error{ProblemUnknownKey, "The security token included in the request is invalid: nobody has its access key id."}
	}
	want := sign(v.key(secret, signed.scope), signed, canonicalRequest(r, signed, payload))
	if !hmac.Equal([]byte(want), []byte(signed.value)) {
		return Identity{}, &Error{ProblemInvalid, "The request signature we calculated does not match the signature you provided. " +
			"Check your AWS Secret Access Key and signing method."}
	}
	return Identity{signed.accessKeyID, signed.scope.signingName}, nil
}

func (v *Verifier) checkScope(signed signature) error {
	switch {
	case !slices.Contains(v.SigningNames, signed.scope.signingName):
		return refuse(ProblemInvalid, "Credential should be scoped to correct service: '%s', not '%s'.", v.SigningNames[0], signed.scope.signingName)
	case signed.scope.region != v.Region:
		return refuse(ProblemInvalid, "Credential should be scoped to a valid region: '%s', not '%s'.", v.Region, signed.scope.region)
	case signed.scope.date != signed.at.Format(dateFormat):
		return refuse(ProblemInvalid, "Date in Credential scope does not match YYYYMMDD from X-Amz-Date: '%s' is not '%s'.",
			signed.scope.date, signed.at.Format(dateFormat))
	}
	return nil
}

func (v *Verifier) checkTime(signed signature) error {
	now := v.Now().UTC()
	end := signed.at.Add(maxSkew)
	if signed.isPresigned {
		end = signed.at.Add(signed.expires)
	}
	switch {
	case now.After(end):
		return refuse(ProblemInvalid, "Signature expired: the request was signed at %s and was good until %s; it is now %s.",
			signed.at.Format(timeFormat), end.Format(timeFormat), now.Format(timeFormat))
	case signed.at.Sub(now) > maxSkew:
		return refuse(ProblemInvalid, "Signature not yet current: the request was signed at %s, and it is now %s; clocks may differ by 5 minutes.",
			signed.at.Format(timeFormat), now.Format(timeFormat))
	}
	return nil
}

// key derives the key of a scope, or finds it. It is safe to be called at the same time.
func (v *Verifier) key(secret string, scope scope) []byte {
	if last := v.lastKey.Load(); last != nil && last.scope == scope && hmac.Equal([]byte(last.secret), []byte(secret)) {
		return last.key
	}
	key := []byte("AWS4" + secret)
	for _, part := range []string{scope.date, scope.region, scope.signingName, terminator} {
		key = mac(key, part)
	}
	v.lastKey.Store(&signingKey{secret, scope, key})
	return key
}

// sign computes the signature of a canonical request.
func sign(key []byte, signed signature, canonical []byte) string {
	sum := sha256.Sum256(canonical)
	toSign := algorithm + "\n" + signed.at.Format(timeFormat) + "\n" + signed.scope.String() + "\n" + hex.EncodeToString(sum[:])
	return hex.EncodeToString(mac(key, toSign))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text)) // never fails (hash.Hash)
	return h.Sum(nil)
}
