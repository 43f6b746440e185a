package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/source"
)

// Submodules are fetched by the rules of the repository itself, and all of them together are bounded as it is. What a
// repository names is less trusted than what the service names:
//
//   - Only https, http and ssh are followed, and from a repository of apron's own server its neighbours there.
//   - Credentials go to the repository's own host alone, the connection's and the administrator's alike: whoever may write to
//     the repository could otherwise have apron read for them what they may not.
//   - Another host must not be this machine.

// What bounds a repository's submodules.
const (
	maxSubmodules    = 100
	maxNesting       = 5
	maxModulesBytes  = 256 << 10
	submodulesFile   = ".gitmodules"
	submoduleRemedy  = "mend it, or set update = none for it in .gitmodules if the app does not need it"
	allBranchesInOne = "+refs/heads/*:refs/heads/*"
)

// submodule is a place in a tree where another repository's commit belongs.
type submodule struct{ path, commit string }

// part is the repository or one of its submodules, received and not yet checked out.
type part struct {
	scratch *scratch
	commit  string
	// at is its folder in the whole, empty for the repository itself.
	at string
}

// whole is a repository with its submodules.
type whole struct {
	from  address
	parts []part
	found content
}

func (w *whole) remove() {
	for _, part := range w.parts {
		part.scratch.remove()
	}
}

// addSubmodules receives the submodules of the newest part, and theirs.
func (r *Repositories) addSubmodules(ctx context.Context, w *whole, raw string, modules []submodule, nesting int, log io.Writer) error {
	if len(modules) == 0 {
		return nil
	}
	parent := w.parts[len(w.parts)-1]
	settings, err := r.moduleSettings(ctx, parent)
	if err != nil {
		return err
	}
	for _, module := range modules {
		at, setting := path.Join(parent.at, module.path), settings[module.path]
		if setting.url == "" || setting.update == "none" {
			w.found.leftOut = append(w.found.leftOut, at)
			continue
		}
		if err := r.addSubmodule(ctx, w, raw, setting.url, part{commit: module.commit, at: at}, nesting, log); err != nil {
			return explainSubmodule(at, err)
		}
	}
	return nil
}

func (r *Repositories) addSubmodule(ctx context.Context, w *whole, parentURL, ownURL string, added part, nesting int, log io.Writer) error {
	if nesting > maxNesting {
		return platform.Explain(nil, "submodules are nested more than %d deep", maxNesting).Try(submoduleRemedy)
	}
	if len(w.parts) > maxSubmodules {
		return platform.Explain(nil, "the repository has more than %d submodules", maxSubmodules).Try(submoduleRemedy)
	}
	raw := ownURL
	if strings.HasPrefix(ownURL, "./") || strings.HasPrefix(ownURL, "../") {
		var err error
		if raw, err = relativeURL(parentURL, ownURL); err != nil {
			return err
		}
	}
	from, err := r.locateSubmodule(ctx, w, raw)
	if err != nil {
		return err
	}
	fmt.Fprintf(log, "Fetching commit %.7s of the submodule %s from %s\n", added.commit, added.at, from)
	if added.scratch, err = r.newScratch(from); err != nil {
		return err
	}
	w.parts = append(w.parts, added)
	bounded := *r
	for _, part := range w.parts {
		bounded.config.Limits.Bytes -= folderSize(part.scratch.repository())
	}
	err = bounded.fetchCommit(ctx, added.scratch, allBranchesInOne, added.commit)
	switch {
	case errors.Is(err, errTooLarge):
		return tooLarge(r.config.Limits.Bytes)
	case errors.Is(err, errCommitGone):
		return platform.Explain(err, "commit %.7s is in no branch of %s", added.commit, from).Try("push it there, or let the submodule be at another commit")
	case err != nil:
		return err
	}
	modules, err := r.inspect(ctx, added, &w.found)
	if err != nil {
		return err
	}
	return r.addSubmodules(ctx, w, raw, modules, nesting+1, log)
}

// explainSubmodule says which submodule it was.
func explainSubmodule(at string, err error) error {
	explained := platform.AsExplained(err)
	if explained == nil || strings.HasPrefix(explained.Cause, "the submodule ") {
		return err
	}
	return platform.Explain(err, "the submodule %s: %s", at, explained.Cause).Try("%s", explained.Remedy).WithEvidence(explained.Evidence...)
}

// moduleSetting is what .gitmodules says of one path.
type moduleSetting struct{ url, update string }

// moduleSettings reads .gitmodules as data: git never acts on it.
func (r *Repositories) moduleSettings(ctx context.Context, of part) (map[string]moduleSetting, error) {
	var list bytes.Buffer
	limited := writerFunc(func(p []byte) (int, error) {
		if list.Len()+len(p) > maxModulesBytes {
			return 0, errTooMuch
		}
		return list.Write(p)
	})
	dir := "--git-dir=" + of.scratch.repository()
	blob := of.commit + ":" + submodulesFile
	if r.run(ctx, of.scratch, command{args: []string{dir, "cat-file", "-e", blob}}) != nil {
		return nil, ctx.Err() // not there: the folders of submodules stay empty, as with git
	}
	err := r.run(ctx, of.scratch, command{args: []string{dir, "config", "--no-includes", "--blob", blob, "--null", "--list"}, stdout: limited})
	if err != nil {
		return nil, platform.Explain(err, "%s cannot be read", path.Join(of.at, submodulesFile)).Try("correct it")
	}
	byName, settings := map[string]map[string]string{}, map[string]moduleSetting{}
	for entry := range strings.SplitSeq(list.String(), "\x00") {
		key, value, _ := strings.Cut(entry, "\n")
		rest, isModule := strings.CutPrefix(key, "submodule.")
		dot := strings.LastIndexByte(rest, '.')
		if !isModule || dot < 0 {
			continue
		}
		if byName[rest[:dot]] == nil {
			byName[rest[:dot]] = map[string]string{}
		}
		byName[rest[:dot]][rest[dot+1:]] = value
	}
	for _, module := range byName {
		settings[module["path"]] = moduleSetting{url: module["url"], update: module["update"]}
	}
	return settings, nil
}

// relativeURL is what a submodule's ./ or ../ means from its parent's URL.
func relativeURL(parent, relative string) (string, error) {
	var begin, dir string
	if u, err := url.Parse(parent); err == nil && u.Scheme != "" && u.Host != "" {
		begin, dir = u.Scheme+"://"+u.Host, u.Path
		if u.User != nil {
			begin = u.Scheme + "://" + u.User.String() + "@" + u.Host
		}
	} else if match := scpPattern.FindStringSubmatch(parent); match != nil {
		begin, dir = strings.TrimSuffix(parent, match[3]), match[3]
	} else {
		return "", platform.Explain(nil, "its URL is relative to a path on this machine").Try("write its whole URL into .gitmodules")
	}
	root := ""
	if strings.HasPrefix(dir, "/") {
		root = "/"
	}
	steps := strings.FieldsFunc(dir, func(c rune) bool { return c == '/' })
	for step := range strings.SplitSeq(relative, "/") {
		switch step {
		case "", ".":
		case "..":
			if len(steps) == 0 {
				return "", platform.Explain(nil, "its URL %s leads beyond the parent's host", relative).Try("correct it in .gitmodules")
			}
			steps = steps[:len(steps)-1]
		default:
			steps = append(steps, step)
		}
	}
	return begin + root + strings.Join(steps, "/"), nil
}

// locateSubmodule reads a submodule's URL and decides with what it is asked.
func (r *Repositories) locateSubmodule(ctx context.Context, w *whole, raw string) (address, error) {
	from, err := r.parse(raw)
	if err != nil {
		return address{}, err
	}
	if !from.isHTTP && !from.isSSH {
		if from.isEmbedded && w.from.isEmbedded {
			return from, nil
		}
		return address{}, platform.Explain(nil, "it is to be read from this machine, at %s, and a repository may not name that", from).
			Try("push it to a server, and write its https or ssh URL into .gitmodules")
	}
	if from.host == w.from.host && from.isHTTP == w.from.isHTTP && from.port() == w.from.port() {
		from.access = w.from.access
		if from.user == nil {
			from.user = w.from.user
		}
		return from, nil
	}
	if access := w.from.access; access != nil && from.isSSH && access.Password != "" && source.IsAtHost(raw, access.Host) {
		// The connection's token is for https, which finds the same repository.
		return r.locateSubmodule(ctx, w, overWeb(w.from, raw))
	}
	from.isForeign = true
	if r.leadsToThisMachine(ctx, from.host) {
		return address{}, platform.Explain(nil, "it is at %s, which leads to this machine", from).Try("push it to the repository's own host")
	}
	return from, nil
}

// overWeb is an ssh URL by the scheme and host of a web address.
func overWeb(web address, raw string) string {
	scheme, host := web.origin()
	dir := ""
	if u, err := url.Parse(raw); err == nil && u.Host != "" {
		dir = u.Path
	} else if match := scpPattern.FindStringSubmatch(raw); match != nil {
		dir = match[3]
	}
	return (&url.URL{Scheme: scheme, Host: host, Path: "/" + strings.TrimLeft(dir, "/")}).String()
}

// leadsToThisMachine says whether a host's name means an address that is closed to what repositories name.
func (r *Repositories) leadsToThisMachine(ctx context.Context, host string) bool {
	if r.config.IsClosed == nil {
		return false
	}
	addresses, _ := net.DefaultResolver.LookupNetIP(ctx, "ip", host) // git says itself when there is none
	for _, address := range addresses {
		if r.config.IsClosed(address) {
			return true
		}
	}
	return false
}

// checkFolder makes sure that a submodule's folder is one, and no link to elsewhere.
func checkFolder(root *os.Root, at string) error {
	for folder := at; folder != "." && folder != ""; folder = path.Dir(folder) {
		info, err := root.Lstat(filepath.FromSlash(folder))
		if err != nil {
			return fmt.Errorf("find the submodule %s: %w", at, err)
		}
		if !info.IsDir() {
			return platform.Explain(nil, "the submodule %s is not in a folder of the repository", at).Try("add it anew")
		}
	}
	return nil
}
