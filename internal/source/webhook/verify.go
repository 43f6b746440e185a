package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// isProven says whether a call knows the secret, in any of the ways that hosts have:
//
//	the last part of the path               Docker Hub, Quay, Amazon SNS
//	X-Hub-Signature-256: sha256=HEX         GitHub; Gitea and Forgejo too
//	X-Hub-Signature: sha256=HEX             Bitbucket (GitHub's own, of SHA-1, does not count)
//	X-Gitea-Signature, X-Forgejo-Signature  Gitea, Forgejo: HEX
//	X-Gitlab-Token                          GitLab: the secret itself
//	webhook-id, -timestamp, -signature      GitLab's signing token, and all that follow Standard Webhooks
//	Authorization                           registries: Bearer SECRET, Basic with any user, or SECRET alone
//
// All comparisons take the same time whatever is wrong.
func isProven(header http.Header, body []byte, presented, secret string, now time.Time) bool {
	if secret == "" {
		return false
	}
	isProven := isSame(presented, secret) || isSame(header.Get("X-Gitlab-Token"), secret) || isAuthorized(header.Get("Authorization"), secret)
	sum := sign(body, []byte(secret))
	for _, name := range []string{"X-Hub-Signature-256", "X-Hub-Signature"} {
		signature, isSHA256 := strings.CutPrefix(header.Get(name), "sha256=")
		isProven = isSHA256 && isSum(signature, sum) || isProven
	}
	for _, name := range []string{"X-Gitea-Signature", "X-Forgejo-Signature", "X-Gogs-Signature"} {
		isProven = isSum(header.Get(name), sum) || isProven
	}
	return isSignedByStandard(header, body, secret, now) || isProven
}

// maxAge is how far the clocks of two machines may be apart, and how long a call may be under way.
const maxAge = 5 * time.Minute

// isSignedByStandard is for https://www.standardwebhooks.com: the key is what the secret's base64 holds.
func isSignedByStandard(header http.Header, body []byte, secret string, now time.Time) bool {
	id, timestamp := header.Get("Webhook-Id"), header.Get("Webhook-Timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > maxAge {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, secretPrefix))
	if err != nil {
		return false
	}
	sum := sign(append([]byte(id+"."+timestamp+"."), body...), key)
	for signature := range strings.FieldsSeq(header.Get("Webhook-Signature")) { // several while a secret is replaced
		given, isFirst := strings.CutPrefix(signature, "v1,")
		decoded, err := base64.StdEncoding.DecodeString(given)
		if isFirst && err == nil && hmac.Equal(decoded, sum) {
			return true
		}
	}
	return false
}

func isAuthorized(authorization, secret string) bool {
	scheme, value, hasScheme := strings.Cut(authorization, " ")
	switch {
	case !hasScheme:
		return isSame(authorization, secret)
	case strings.EqualFold(scheme, "Bearer"):
		return isSame(value, secret)
	case strings.EqualFold(scheme, "Basic"):
		decoded, err := base64.StdEncoding.DecodeString(value)
		_, password, _ := strings.Cut(string(decoded), ":")
		return err == nil && isSame(password, secret)
	}
	return false
}

func isSame(given, secret string) bool { return hmac.Equal([]byte(given), []byte(secret)) }

func isSum(given string, sum []byte) bool {
	decoded, err := hex.DecodeString(given)
	return err == nil && hmac.Equal(decoded, sum)
}

func sign(body, key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(body)
	return mac.Sum(nil)
}

// Sign returns the headers that prove a call of a client of our own.
func Sign(body []byte, secret string) http.Header {
	return http.Header{"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(sign(body, []byte(secret)))}}
}
