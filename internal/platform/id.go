package platform

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"strconv"
	"strings"
)

// Ids are distinct types so that the compiler keeps them apart. All but Subdomain are 32 lower-case hex digits, as in
// App Runner's own answers.
type (
	ServiceID   string
	OperationID string
	RevisionID  string
	InstanceID  string
	// Subdomain is the first label of a service's host name: 10 lower-case letters or digits.
	Subdomain string
)

// NewServiceID returns a random id.
func NewServiceID() ServiceID { return ServiceID(randomHex()) }

// NewOperationID returns a random id.
func NewOperationID() OperationID { return OperationID(randomHex()) }

// NewInstanceID returns a random id, for an instance that no operation asked for (a replacement).
func NewInstanceID() InstanceID { return InstanceID(randomHex()) }

// NewSubdomain returns a random first label that begins with a letter.
func NewSubdomain() Subdomain {
	var raw [8]byte
	mustRead(raw[:])
	label := strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw[:]))[:9]
	return Subdomain(string(rune('a'+raw[7]%26)) + label)
}

// Host is the host name at which a service answers, without a port.
func (s Subdomain) Host(region, domain string) string { return string(s) + "." + region + "." + domain }

// RevisionIDFor derives the one revision an operation makes, so that a repeated step makes no twin.
func RevisionIDFor(operation OperationID) RevisionID {
	return RevisionID(derivedHex("revision", string(operation)))
}

// InstanceIDFor derives the id of the index-th instance an operation starts, so that a repeated step starts no twin.
func InstanceIDFor(operation OperationID, index int) InstanceID {
	return InstanceID(derivedHex("instance", string(operation), strconv.Itoa(index)))
}

func randomHex() string {
	var raw [16]byte
	mustRead(raw[:])
	return hex.EncodeToString(raw[:])
}

// derivedLabel returns size lower-case letters and digits that parts decide.
func derivedLabel(size int, parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:]))[:size]
}

func derivedHex(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// mustRead fills raw from the system's random source, which never fails on a supported system (crypto/rand.Read).
func mustRead(raw []byte) {
	if _, err := rand.Read(raw); err != nil {
		panic(err)
	}
}
