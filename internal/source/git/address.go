package git

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source"
)

// address is where a repository is, taken apart.
type address struct {
	// argument is what git gets: it carries no password.
	argument string
	// shown is for people: it carries no secret, not even one given as a user name.
	shown string
	// host is the server's host name, or empty for a path.
	host string
	// isSSH and isHTTP say how it is reached; neither is a path on this machine.
	isSSH, isHTTP bool
	// user is what an HTTP URL carried.
	user *url.Userinfo
	// access is how the connection asks; nil means with the URL's own or the administrator's credentials.
	access *source.Access
	// isEmbedded says that it is a repository of apron's own server.
	isEmbedded bool
	// isForeign says that it is a submodule at another host than the repository's: it is asked without credentials.
	isForeign bool
}

func (a address) String() string { return a.shown }

// origin is the scheme and host as a credential names them.
func (a address) origin() (scheme, host string) {
	u, err := url.Parse(a.argument)
	if err != nil {
		return "", ""
	}
	return u.Scheme, u.Host
}

// port is the one that is asked, empty for a path.
func (a address) port() string {
	u, err := url.Parse(a.argument)
	switch {
	case err == nil && u.Port() != "":
		return u.Port()
	case a.isSSH:
		return "22"
	case a.isHTTP:
		return map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return ""
}

// scpPattern is [user@]host:path, Git's short form of an ssh URL. A host that begins with a hyphen would be an option of
// ssh, and two colons the name of another program.
var scpPattern = regexp.MustCompile(`^(?:([A-Za-z0-9._][A-Za-z0-9._-]*)@)?([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]):([^:\x00-\x1f].*)$`)

// namePattern is a repository's name on the embedded server; its own package checks names when they are made.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// parse reads any Git URL. Its errors are explained and carry no part of the URL that could be a secret.
func (r *Repositories) parse(raw string) (address, error) {
	if strings.ContainsFunc(raw, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return address{}, platform.Explain(nil, "the repository's URL contains control characters").Try("correct RepositoryUrl")
	}
	if filepath.IsAbs(raw) {
		return localAddress(raw)
	}
	if !strings.Contains(raw, "://") {
		if match := scpPattern.FindStringSubmatch(raw); match != nil {
			return address{argument: raw, shown: raw, host: strings.Trim(match[2], "[]"), isSSH: true}, nil
		}
		return address{}, platform.Explain(nil, "the repository's URL has no scheme").
			Try("write https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH or an absolute path")
	}
	u, err := url.Parse(raw)
	if err != nil {
		// The parser's own message repeats the URL, which may carry a password.
		return address{}, platform.Explain(nil, "the repository's URL is not a valid URL").Try("correct RepositoryUrl")
	}
	switch u.Scheme {
	case "http", "https":
		return r.webAddress(u)
	case "ssh", "git+ssh", "ssh+git":
		return sshAddress(u)
	case "file":
		if u.Host != "" && u.Host != "localhost" {
			return address{}, platform.Explain(nil, "a file URL names a path on this machine").
				Try("write file:///PATH")
		}
		return localAddress(u.Path)
	}
	return address{}, platform.Explain(nil, "a repository cannot be fetched by %s", strings.ToLower(u.Scheme)).
		Try("use https, http, ssh, file or an absolute path")
}

func localAddress(dir string) (address, error) {
	dir = filepath.Clean(dir)
	if !filepath.IsAbs(dir) {
		return address{}, platform.Explain(nil, "a repository's path must be absolute").Try("let it begin with /")
	}
	if _, err := os.Stat(dir); err != nil {
		return address{}, platform.Explain(err, "there is no repository at %s on the machine apron runs on", dir).
			Try("check the path, and that apron may read it")
	}
	return address{argument: dir, shown: dir}, nil
}

func sshAddress(u *url.URL) (address, error) {
	clean := url.URL{Scheme: "ssh", Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if name := u.User.Username(); name != "" {
		clean.User = url.User(name)
	}
	if u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-") || strings.HasPrefix(u.User.Username(), "-") {
		return address{}, platform.Explain(nil, "the repository's URL names no server").
			Try("write ssh://USER@HOST/PATH")
	}
	if u.Path == "" || u.Path == "/" {
		return address{}, platform.Explain(nil, "the repository's URL names no repository").
			Try("write ssh://USER@HOST/PATH")
	}
	return address{argument: clean.String(), shown: clean.String(), host: u.Hostname(), isSSH: true}, nil
}

// webAddress reads an HTTP URL. A repository of the embedded server becomes its path.
func (r *Repositories) webAddress(u *url.URL) (address, error) {
	if u.Hostname() == "" {
		return address{}, platform.Explain(nil, "the repository's URL names no server").
			Try("write %s://HOST/PATH", u.Scheme)
	}
	clean := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}
	shown := clean
	shown.RawQuery = ""
	if name, isEmbedded := r.embedded(u); isEmbedded {
		return r.embeddedAddress(shown.String(), name)
	}
	return address{argument: clean.String(), shown: shown.String(), host: u.Hostname(), isHTTP: true, user: u.User}, nil
}

// embedded returns the name of the repository on apron's own server that a URL leads to, or false for one elsewhere.
func (r *Repositories) embedded(u *url.URL) (name string, isEmbedded bool) {
	defaultPort, isWeb := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	name, isEmbedded = strings.CutPrefix(path.Clean(u.Path), "/git/")
	return strings.TrimSuffix(name, ".git"), isEmbedded && isWeb && r.config.Endpoint.Is(u.Host, defaultPort)
}

// IsEmbedded says whether a repository's URL leads to the one of that name on apron's own server.
func (r *Repositories) IsEmbedded(raw, name string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	found, isEmbedded := r.embedded(u)
	return isEmbedded && found == name
}

// IsOwn says whether a repository's URL leads to apron's own server.
func (r *Repositories) IsOwn(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	_, isEmbedded := r.embedded(u)
	return isEmbedded
}

// embeddedAddress finds a repository of apron's own server without asking the network, or for credentials.
func (r *Repositories) embeddedAddress(shown, name string) (address, error) {
	dir := filepath.Join(r.config.Data, "git", name+".git")
	if !namePattern.MatchString(name) {
		return address{}, platform.Explain(nil, "%s names no repository of apron's Git server", shown).
			Try("write http://%s/git/NAME.git", r.config.Endpoint.Address())
	}
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err != nil {
		return address{}, platform.Explain(err, "apron's Git server has no repository %s yet", name).
			Try("make it with git push to %s", shown)
	}
	return address{argument: dir, shown: shown, isEmbedded: true}, nil
}

// isBranchName follows git check-ref-format. The pattern characters are excluded there too, so a name cannot match
// other branches.
func isBranchName(name string) bool {
	if name == "" || len(name) > 250 || name == "@" || strings.HasPrefix(name, "-") ||
		strings.HasSuffix(name, ".") || strings.Contains(name, "..") || strings.Contains(name, "@{") ||
		strings.ContainsAny(name, " ~^:?*[\\\x7f") || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' }) {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return true
}
