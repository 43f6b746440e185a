package git

import (
	"context"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source"
)

// Try reads the names of a repository, to find out whether credentials are good for it. wasAsked is false for a
// repository that the server gives to anyone, which says nothing about the credentials.
func (r *Repositories) Try(ctx context.Context, repositoryURL string) (wasAsked bool, err error) {
	from, err := r.locate(repositoryURL)
	if err != nil {
		return false, err
	}
	scratch, err := r.newScratch(from)
	if err != nil {
		return false, err
	}
	defer scratch.remove()
	if _, err := r.listRefs(ctx, scratch, "HEAD"); err != nil {
		return false, err
	}
	return from.isSSH || exists(scratch.takenMark()), nil
}

// locate reads a URL and, when a connection asks, sees to it that its credentials are for that host and that way.
func (r *Repositories) locate(raw string) (address, error) {
	from, err := r.parse(raw)
	if err != nil || r.access == nil {
		return from, err
	}
	from.access = r.access
	switch {
	case !source.IsAtHost(raw, r.access.Host):
		return address{}, platform.Explain(nil, "the connection %s is to %s, and %s is not there",
			r.access.Connection, r.access.Host, from).
			Try("give the service a connection to the repository's host: credentials go nowhere else")
	case from.isSSH && r.access.SSHKey == "":
		return address{}, platform.Explain(nil, "the connection %s has a token, which is of no use to ssh", r.access.Connection).
			Try("write the repository's URL with https://, or authorize the connection with an SSH key")
	case from.isHTTP && r.access.Password == "":
		return address{}, platform.Explain(nil, "the connection %s has an SSH key, which is of no use to %s", r.access.Connection, from).
			Try("write the repository's URL as ssh://git@HOST/PATH, or authorize the connection with a token")
	}
	return from, nil
}
