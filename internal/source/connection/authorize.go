package connection

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/apron-run/apron/internal/platform"
)

// Authorize reads a repository with the credentials and returns them as they are remembered. What a person can act on is
// a *platform.ExplainedError; nothing has changed then.
func (c *Connections) Authorize(ctx context.Context, connection platform.Resource, credentials platform.GitCredentials,
	repositoryURL string) (*platform.SealedCredentials, error) {
	credentials, err := check(connection, credentials)
	if err != nil {
		return nil, err
	}
	access, err := c.access(ctx, connection, credentials, c.apps.exchange)
	if err != nil {
		return nil, err
	}
	wasAsked, err := c.config.As(access).Try(ctx, repositoryURL)
	if err != nil {
		return nil, err
	}
	// An app has proved itself when it got its token.
	if !wasAsked && credentials.App == nil {
		return nil, platform.Explain(nil, "%s gave the repository without asking for the credentials, so nobody knows whether they are good", access.Host).
			Try("try them with a private repository")
	}
	return c.seal(connection, credentials)
}

// check refuses credentials that no host would take, and writes a key as the programs that use it want it.
func check(connection platform.Resource, credentials platform.GitCredentials) (platform.GitCredentials, error) {
	switch credentials.Kind() {
	case platform.CredentialToken:
		if credentials.Token == "" || strings.ContainsFunc(credentials.Token+credentials.User, isSpaceOrControl) {
			return credentials, platform.Explain(nil, "a token and its user have neither spaces nor control characters, and a token is not empty").Try("copy it again, without the line's end")
		}
	case platform.CredentialSSHKey:
		credentials.SSHKey = lines(credentials.SSHKey)
		var locked *ssh.PassphraseMissingError
		if _, err := ssh.ParseRawPrivateKey([]byte(credentials.SSHKey)); errors.As(err, &locked) {
			return credentials, platform.Explain(nil, "the SSH key is locked by a passphrase, which nobody is there to type").
				Try("make a key of its own with ssh-keygen -t ed25519 -N ''")
		} else if err != nil {
			return credentials, platform.Explain(nil, "this is not a private SSH key").
				Try("give the file that ssh-keygen writes beside the one that ends with .pub")
		}
	case platform.CredentialApp:
		if connection.Detail.Connection.Provider != platform.ProviderGitHub {
			return credentials, platform.Explain(nil, "apps are GitHub's").
				Try("authorize a connection to %s with a token or an SSH key", connection.Detail.Connection.Provider)
		}
		if !isNumber(credentials.App.Installation) || strings.ContainsFunc(credentials.App.ID, isSpaceOrControl) || credentials.App.ID == "" {
			return credentials, platform.Explain(nil, "an app has an id, and the id of its installation is a number").
				Try("take the last part of the URL of the installation's settings")
		}
		if _, err := appKey(*credentials.App); err != nil {
			return credentials, err
		}
	}
	return credentials, nil
}

// appKey reads an app's key, in either form that PEM has for RSA.
func appKey(app platform.GitApp) (*rsa.PrivateKey, error) {
	wrong := platform.Explain(nil, "this is not the private key of an app").
		Try("give the .pem file that GitHub gave when the key was made")
	block, _ := pem.Decode([]byte(app.Key))
	if block == nil {
		return nil, wrong
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, wrong
	}
	key, isRSA := parsed.(*rsa.PrivateKey)
	if !isRSA {
		return nil, wrong
	}
	return key, nil
}

// remembered is what is sealed: all of the credentials, and the host they were given for.
type remembered struct {
	Host        string
	User, Token string         `json:",omitempty"`
	SSHKey      string         `json:",omitempty"`
	App         *rememberedApp `json:",omitempty"`
}

type rememberedApp struct{ ID, Installation, Key string }

func (c *Connections) seal(connection platform.Resource, credentials platform.GitCredentials) (*platform.SealedCredentials, error) {
	all := remembered{Host: connection.GitHost(), User: credentials.User, Token: credentials.Token, SSHKey: credentials.SSHKey}
	if credentials.App != nil {
		all.App = new(rememberedApp(*credentials.App))
	}
	plain, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("seal credentials: %w", err)
	}
	return &platform.SealedCredentials{Kind: credentials.Kind(), Sealed: c.config.Secrets.Seal(connection.ARN, plain)}, nil
}

// open returns the credentials of a connection. An ExplainedError when it has none that can be used.
func (c *Connections) open(connection platform.Resource) (platform.GitCredentials, error) {
	sealed := connection.Detail.Connection.Credentials
	if sealed == nil {
		return platform.GitCredentials{}, platform.Explain(nil, "the connection %s has no credentials", connection.Name).
			Try("give it some with `apron connection authorize %s`", connection.Name)
	}
	plain, err := c.config.Secrets.Open(connection.ARN, sealed.Sealed)
	if err != nil {
		return platform.GitCredentials{}, platform.Explain(err, "the credentials of the connection %s cannot be opened with the key of this data directory", connection.Name).
			Try("put back secrets.key as it was when they were given, or give others with `apron connection authorize %s`", connection.Name)
	}
	var all remembered
	if err := json.Unmarshal(plain, &all); err != nil {
		return platform.GitCredentials{}, fmt.Errorf("open the credentials of the connection %s: they are not in their form", connection.Name)
	}
	if !strings.EqualFold(all.Host, connection.GitHost()) {
		return platform.GitCredentials{}, platform.Explain(nil, "the credentials of the connection %s were given for %s, and it is now to %s", connection.Name, all.Host, connection.GitHost()).
			Try("give others with `apron connection authorize %s`", connection.Name)
	}
	credentials := platform.GitCredentials{User: all.User, Token: all.Token, SSHKey: all.SSHKey}
	if all.App != nil {
		credentials.App = new(platform.GitApp(*all.App))
	}
	return credentials, nil
}

// lines makes a key's lines end as OpenSSH wants them, the last one too.
func lines(key string) string {
	return strings.TrimSpace(strings.ReplaceAll(key, "\r\n", "\n")) + "\n"
}

func isSpaceOrControl(c rune) bool { return c <= ' ' || c == 0x7f }

func isNumber(text string) bool {
	return text != "" && len(text) <= 20 && strings.Trim(text, "0123456789") == ""
}
