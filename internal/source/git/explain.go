package git

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source"
)

// symptom is what git, ssh or curl say (in English: LC_ALL=C) and what it means. There is no other way to tell: git
// ends with the same code for every failure.
type symptom struct {
	texts []string
	// meaning returns the cause and what to try.
	meaning func(r *Repositories, from address) (cause, remedy string)
}

// means is a meaning in which ADDRESS and HOST stand for those of the repository.
func means(cause, remedy string) func(*Repositories, address) (string, string) {
	return func(_ *Repositories, from address) (string, string) {
		names := strings.NewReplacer("ADDRESS", from.shown, "HOST", from.host)
		return names.Replace(cause), names.Replace(remedy)
	}
}

// symptoms are in order of precedence: ssh's own complaints come before the general one that follows them.
var symptoms = []symptom{
	{[]string{"Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED"}, func(r *Repositories, from address) (cause, remedy string) {
		return fmt.Sprintf("the SSH host key of %s is not the one that is known", from.host),
			"if the change is right, remove its line from " + filepath.Join(r.sshFolder(), "known_hosts")
	}},
	{[]string{"Permission denied (", "Too many authentication failures", "bad permissions", "No more authentication methods"},
		func(r *Repositories, from address) (cause, remedy string) {
			if from.isForeign {
				return fmt.Sprintf("%s wants an SSH key for %s", from.host, from.shown), foreignRemedy
			}
			if from.access != nil {
				return fmt.Sprintf("%s refused the SSH key of the connection %s for %s", from.host, from.access.Connection, from.shown), authorize(from)
			}
			return fmt.Sprintf("%s refused apron's SSH key", from.host),
				fmt.Sprintf("put a private key that may read %s into %s (make one with ssh-keygen -t ed25519 -N '' -f %s and register its .pub file as a deploy key)",
					from.shown, r.sshFolder(), filepath.Join(r.sshFolder(), "id_ed25519"))
		}},
	{[]string{"Could not resolve host", "Could not resolve hostname", "Name or service not known", "Temporary failure in name resolution"},
		means("the host HOST does not exist or cannot be looked up from this machine",
			"check the repository's URL and this machine's DNS")},
	{[]string{"Failed to connect to", "Couldn't connect to server", "Connection refused", "No route to host", "Network is unreachable",
		"connect to host"},
		means("HOST cannot be reached from this machine",
			"check the repository's URL, the network and proxies")},
	{[]string{"SSL certificate problem", "server certificate verification failed", "SSL: no alternative certificate", "certificate verification",
		"gnutls_handshake", "SSL_connect", "SSL routines", "TLS connect error", "certificate subject name", "error:0A"},
		func(r *Repositories, from address) (cause, remedy string) {
			return fmt.Sprintf("the TLS connection to %s could not be trusted", from.host),
				"install its certificate authority on this machine, or name it as http.sslCAInfo in " + filepath.Join(r.config.Data, "gitconfig")
		}},
	{[]string{"Authentication failed for", "The requested URL returned error: 403", "The requested URL returned error: 401", "Access denied",
		"invalid credentials"}, func(r *Repositories, from address) (cause, remedy string) {
		if from.access != nil {
			return fmt.Sprintf("%s refused the credentials of the connection %s for %s", from.host, from.access.Connection, from.shown), authorize(from)
		}
		return fmt.Sprintf("%s refused the credentials for %s", from.host, from.shown),
			fmt.Sprintf("check the line for %s in %s, or the user and password in the URL", from.host, filepath.Join(r.config.Data, "git-credentials"))
	}},
	{[]string{"could not read Username", "could not read Password", "terminal prompts disabled"}, func(r *Repositories, from address) (cause, remedy string) {
		if from.isForeign {
			return fmt.Sprintf("%s asks for credentials for %s, which is private or does not exist", from.host, from.shown), foreignRemedy
		}
		if from.access != nil {
			return fmt.Sprintf("%s led to another address that asks for credentials, and those of the connection %s go to %s alone",
				from.shown, from.access.Connection, from.access.Host), "write the URL that it leads to"
		}
		return fmt.Sprintf("%s asks for credentials for %s, which is private or does not exist", from.host, from.shown),
			fmt.Sprintf("add a line https://USER:TOKEN@%s to %s", from.host, filepath.Join(r.config.Data, "git-credentials"))
	}},
	{[]string{"not found", "Not Found", "returned error: 404", "does not appear to be a git repository", "No such file or directory", "not valid: is this a git repository",
		"does not exist", "not a git repository", "dumb http"}, func(_ *Repositories, from address) (cause, remedy string) {
		if from.host == "" {
			return fmt.Sprintf("there is no Git repository at %s on the machine apron runs on", from.shown), "check the path, or make a repository there"
		}
		if from.access != nil {
			return fmt.Sprintf("there is no Git repository at %s, or the credentials of the connection %s may not see it", from.shown, from.access.Connection),
				"check the URL and what they may read, or " + authorize(from)
		}
		return fmt.Sprintf("there is no Git repository at %s, or apron's credentials may not see it", from.shown),
			"check the URL; for a private repository give the service a connection (`apron connection create NAME`)"
	}},
	{[]string{"Out of memory", "out of memory"},
		means("HOST sends more about ADDRESS than apron reads",
			"remove old branches and tags, or use a smaller repository")},
	{[]string{"File size limit exceeded", "died of signal 25", "File too large"}, func(r *Repositories, _ address) (cause, remedy string) {
		large := tooLarge(r.config.Limits.Bytes)
		return large.Cause, large.Remedy
	}},
	{[]string{"No space left on device", "Disk quota exceeded"}, func(r *Repositories, _ address) (cause, remedy string) {
		return fmt.Sprintf("the disk of %s is full", r.config.Data), "make room and deploy again"
	}},
	{[]string{"timed out", "Timeout", "Operation too slow", "timeout"},
		means("HOST did not answer in time",
			"check that it is up, and deploy again")},
	{passing, means("the connection to HOST broke off, three times",
		"check that it is up, and deploy again")},
}

// foreignRemedy is for submodules that other hosts do not give to everyone.
const foreignRemedy = "credentials go to submodules at the repository's own host and by the same way alone: move it there, or " + submoduleRemedy

// authorize says how a connection gets other credentials.
func authorize(from address) string {
	return fmt.Sprintf("give it others with `apron connection authorize %s`", from.access.Connection)
}

// passing are the troubles that a second try may not meet again.
var passing = []string{
	"early EOF", "unexpected disconnect", "Connection reset by peer", "the remote end hung up unexpectedly", "RPC failed",
	"Empty reply from server", "Connection closed by", "transfer closed with", "returned error: 429", "returned error: 500",
	"returned error: 502", "returned error: 503", "returned error: 504", "Broken pipe",
}

// isPassing says whether err may go away by itself.
func isPassing(err error) bool {
	var failure *commandError
	if !errors.As(err, &failure) || isOurs(failure.err) || !failure.says(passing...) {
		return false
	}
	// "The remote end hung up" also follows every refusal.
	for _, symptom := range symptoms[:len(symptoms)-1] {
		if failure.says(symptom.texts...) {
			return false
		}
	}
	return true
}

// isOurs says whether we ended the command ourselves.
func isOurs(err error) bool {
	return errors.Is(err, errTooLarge) || errors.Is(err, errSilent) || errors.Is(err, errTooMuch) || errors.Is(err, errWentOnLong) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// explain turns a failed command into a sentence. Other errors, and nil, come back as they are.
func (r *Repositories) explain(from address, err error) error {
	var failure *commandError
	if !errors.As(err, &failure) {
		return err
	}
	var explained *platform.ExplainedError
	switch {
	case errors.Is(err, errTooLarge):
		return tooLarge(r.config.Limits.Bytes)
	case errors.Is(err, errSilent):
		explained = platform.Explain(err, "%s sent nothing for %s", place(from), r.config.Limits.Silence).
			Try("check that it is up, and deploy again")
	case errors.Is(err, errTooMuch):
		explained = platform.Explain(err, "%s sent more branches than apron reads", place(from)).
			Try("remove old branches")
	case errors.Is(err, errWentOnLong), errors.Is(err, context.DeadlineExceeded):
		explained = platform.Explain(err, "%s did not deliver %s in time", place(from), from).
			Try("check that it is up and how large the repository is, and deploy again")
	case errors.Is(err, context.Canceled):
		return err
	default:
		cause, remedy := r.meaning(from, failure)
		explained = platform.Explain(err, "%s", cause).Try("%s", remedy)
	}
	return explained.WithEvidence(evidence(failure.lines)...)
}

func (r *Repositories) meaning(from address, failure *commandError) (cause, remedy string) {
	remedy = "check the repository's URL, and that `git ls-remote` can read it from this machine"
	for _, symptom := range symptoms {
		if failure.says(symptom.texts...) {
			return symptom.meaning(r, from)
		}
	}
	for _, line := range slices.Backward(failure.lines) {
		if complaint, ok := strings.CutPrefix(line, "fatal: "); ok {
			return fmt.Sprintf("git could not read %s: %s", from, complaint), remedy
		}
	}
	return fmt.Sprintf("git could not read %s", from), remedy
}

// place names the other side.
func place(from address) string {
	if from.host == "" {
		return from.shown
	}
	return from.host
}

// noSuchBranch says which branches there are instead.
func noSuchBranch(from address, branch string, refs map[string]string) error {
	var branches []string
	for ref := range refs {
		if name, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
			branches = append(branches, name)
		}
	}
	if len(branches) == 0 {
		return platform.Explain(source.ErrNoBranch, "the repository %s is empty", from).
			Try("push branch %s to it first", branch)
	}
	near := source.Nearest(branch, branches, 10)
	there := "there is " + strings.Join(near, ", ")
	if len(branches) > 1 {
		there = "there are " + strings.Join(near, ", ")
	}
	if more := len(branches) - len(near); more > 0 {
		there += fmt.Sprintf(" and %d more", more)
	}
	return platform.Explain(source.ErrNoBranch, "the repository %s has no branch %s: %s", from, branch, there).
		Try("push the branch, or give the service another one with BranchName")
}

// evidence is the last lines of git's output that are not our own settings' doing.
func evidence(lines []string) []string {
	lines = slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
		return strings.HasPrefix(line, "remote: Enumerating") || strings.HasPrefix(line, "remote: Counting") || strings.HasPrefix(line, "remote: Compressing")
	})
	return lines[max(0, len(lines)-10):]
}

// userPattern is what stands between a scheme and a host in URLs of any output.
var userPattern = regexp.MustCompile(`://[^/@\s]+@`)

// redactAll takes secrets out of lines.
func redactAll(lines, secrets []string) []string {
	for i, line := range lines {
		for _, secret := range secrets {
			line = strings.ReplaceAll(line, secret, "***")
		}
		lines[i] = userPattern.ReplaceAllString(line, "://***@")
	}
	return lines
}
