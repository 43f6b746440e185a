package platform

import (
	"log/slog"
	"strings"
)

// TagHost is a connection's tag that names its host, HOST or HOST:PORT, where that is not the provider's own.
const TagHost = "apron:host"

// The providers of the API.
const (
	ProviderGitHub    = "GITHUB"
	ProviderBitbucket = "BITBUCKET"
)

// ConnectionDetail is a Git host and how it is asked.
type ConnectionDetail struct {
	// Provider is GITHUB or BITBUCKET.
	Provider string
	// Credentials are absent until the connection was authorized.
	Credentials *SealedCredentials `json:",omitempty"`
}

// SealedCredentials are GitCredentials as they are remembered: only the holder of the key can read them.
type SealedCredentials struct {
	Kind   CredentialKind
	Sealed []byte
}

// CredentialKind is what is known of credentials without opening them.
type CredentialKind string

const (
	CredentialToken  CredentialKind = "TOKEN"
	CredentialSSHKey CredentialKind = "SSH_KEY"
	CredentialApp    CredentialKind = "APP"
)

// GitCredentials are one of a token, an SSH key and an app's key. They are secret: nothing prints or marshals them.
type GitCredentials struct {
	// User goes with Token; empty means the provider's own.
	User, Token string
	// SSHKey is a private key, as OpenSSH or PEM write it.
	SSHKey string
	App    *GitApp
}

// GitApp is an app registered at the host, which trades a signed statement for tokens that live an hour.
type GitApp struct {
	// ID is the app's, Installation that of its installation in the organisation.
	ID, Installation string
	// Key is the app's private key, in PEM.
	Key string
}

// Kind says which of the three they are.
func (c GitCredentials) Kind() CredentialKind {
	switch {
	case c.App != nil:
		return CredentialApp
	case c.SSHKey != "":
		return CredentialSSHKey
	}
	return CredentialToken
}

const hidden = "***"

func (c GitCredentials) String() string               { return hidden }
func (c GitCredentials) GoString() string             { return hidden }
func (c GitCredentials) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (c GitCredentials) MarshalText() ([]byte, error) { return []byte(hidden), nil }

func (a GitApp) String() string               { return hidden }
func (a GitApp) GoString() string             { return hidden }
func (a GitApp) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (a GitApp) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// GitHost is the host of a connection, HOST or HOST:PORT.
func (r Resource) GitHost() string {
	if host := r.Tags[TagHost]; host != "" {
		return strings.ToLower(host)
	}
	if r.Detail.Connection != nil && r.Detail.Connection.Provider == ProviderBitbucket {
		return "bitbucket.org"
	}
	return "github.com"
}
