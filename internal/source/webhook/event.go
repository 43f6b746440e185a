package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/apron-run/apron/internal/platform"
)

// message is a call that was read.
type message struct {
	// from is the kind of host; empty where it is not known.
	from   string
	events []event
	// isPing says that a host tries whether anybody answers.
	isPing bool
	// confirm is the address by which a person lets Amazon SNS go on.
	confirm string
}

// event is something that was pushed or deleted.
type event struct {
	kind kind
	// name is the branch or tag; empty where it is not told.
	name string
	// commit is what the branch is at now, by is who pushed; either may be empty.
	commit, by          string
	isForced, isDeleted bool
}

type kind int

const (
	ofBranch kind = iota
	ofImage
	// ofAnything is a call that tells nothing but that it is worth a look.
	ofAnything
)

// isAbout says whether an event can be about what a service is made from.
func (e event) isAbout(from platform.Source, tag string) bool {
	switch e.kind {
	case ofBranch:
		return from.Code != nil && e.name == from.Code.Branch
	case ofImage:
		return from.Image != nil && (e.name == "" || tag == "" || e.name == tag)
	}
	return true
}

// hint is the event in words. What it names is in the service's own words; only who pushed is in those of the host.
func (e event) hint(from platform.Source, tag, host string) Hint {
	what, name := "push of ", branchOf(from)
	if e.isForced {
		what = "forced push of "
	}
	if e.isDeleted {
		what = "deletion of "
	}
	if from.Image != nil {
		name = from.Image.Identifier
	}
	if e.kind == ofAnything {
		what, name = "call of the webhook", ""
	}
	if by := clean(e.by); by != "" {
		name += " by " + by
	}
	return Hint{What: what + name, From: host, Commit: e.commit, IsDeleted: e.isDeleted}
}

// maxName bounds the name of who pushed.
const maxName = 50

// clean makes a name fit for a line of a log.
func clean(name string) string {
	name = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, name)
	letters := []rune(strings.TrimSpace(name))
	return string(letters[:min(len(letters), maxName)])
}

// reader reads the calls of one kind of host.
type reader struct {
	from string
	// event is the header that names the event, and that no other kind sends. Gitea and Forgejo send GitHub's too, so that
	// they come first.
	event string
	read  func(event string, body []byte) (message, error)
}

var readers = []reader{
	{"Forgejo", "X-Forgejo-Event", readGitea}, {"Gitea", "X-Gitea-Event", readGitea}, {"Gogs", "X-Gogs-Event", readGitea},
	{"GitHub", "X-GitHub-Event", readGitHub}, {"GitLab", "X-Gitlab-Event", readGitLab}, {"Bitbucket", "X-Event-Key", readBitbucket},
}

// read reads a call of any host. What has no form that is known is worth a look as well.
func read(header http.Header, body []byte) (message, error) {
	if kind, _, _ := mime.ParseMediaType(header.Get("Content-Type")); kind == "application/x-www-form-urlencoded" {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return message{}, errors.New("its form is not complete")
		}
		body = []byte(form.Get("payload"))
	}
	for _, host := range readers {
		event := header.Get(host.event)
		if event == "" {
			continue
		}
		read, err := host.read(event, body)
		if err != nil {
			return message{}, fmt.Errorf("%s's %s event: %w", host.from, clean(event), err)
		}
		read.from = host.from
		return read, nil
	}
	if len(strings.TrimSpace(string(body))) == 0 {
		return message{events: []event{{kind: ofAnything}}}, nil
	}
	return readByForm(body)
}

// unmarshal reads JSON, with errors that say nothing of our own types.
func unmarshal(body []byte, into any) error {
	err := json.Unmarshal(body, into)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong):
		return fmt.Errorf("%q is %s, which it should not be", wrong.Field, wrong.Value)
	case err != nil:
		return errors.New("it is not JSON")
	}
	return nil
}

// pushed is the event of a ref that is at a commit now; there is none for a tag.
func pushed(ref, commit, by string) []event {
	branch, isBranch := strings.CutPrefix(ref, "refs/heads/")
	if !isBranch {
		return nil
	}
	if strings.Trim(commit, "0") == "" { // the null id: there is nothing any more
		return []event{{name: branch, by: by, isDeleted: true}}
	}
	return []event{{name: branch, commit: commit, by: by}}
}
