package git

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apron-run/apron/internal/source/gitexec"
)

// scratch is the private folder of one ResolveCommit or Fetch: settings, credentials and the objects received.
type scratch struct {
	from address
	dir  string
	// options run git with the scratch's settings.
	options gitexec.Options
	// secrets never appear in what git's output becomes.
	secrets []string
}

const scratchPrefix = ".fetch-"

func (r *Repositories) scratchRoot() string { return filepath.Join(r.config.Data, "sources") }

// newScratch makes the folder; the caller removes it.
func (r *Repositories) newScratch(from address) (_ *scratch, err error) {
	root := r.scratchRoot()
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("make scratch folder: %w", err)
	}
	dir, err := os.MkdirTemp(root, scratchPrefix)
	if err != nil {
		return nil, fmt.Errorf("make scratch folder: %w", err)
	}
	s := &scratch{from: from, dir: dir, options: gitexec.Options{
		GlobalConfig: filepath.Join(dir, "config"), Home: dir,
		MaxMemoryBytes: r.config.Limits.MemoryBytes,
		// The watch over the folder ends a fetch at the limit; this holds where the watch is too slow, or gone.
		MaxFileBytes: r.config.Limits.Bytes + r.config.Limits.Bytes/8 + 1<<20,
	}}
	defer func() {
		if err != nil {
			s.remove()
		}
	}()
	if err := r.writeCredentials(s); err != nil {
		return nil, fmt.Errorf("write credentials: %w", err)
	}
	if err := s.writeFile("config", r.settings(s)); err != nil {
		return nil, fmt.Errorf("write settings: %w", err)
	}
	if from.isSSH {
		if err := os.MkdirAll(r.sshFolder(), 0o700); err != nil {
			return nil, fmt.Errorf("make ssh folder: %w", err)
		}
		if from.access != nil {
			if err := s.writeFile(keyFile, from.access.SSHKey); err != nil {
				return nil, fmt.Errorf("write the connection's key: %w", err)
			}
		}
		if err := s.writeFile("ssh_config", r.sshSettings(s)); err != nil {
			return nil, fmt.Errorf("write ssh settings: %w", err)
		}
		s.options.Environment = append(s.options.Environment, "GIT_SSH_VARIANT=ssh",
			"GIT_SSH_COMMAND=ssh -o BatchMode=yes -F "+shellQuote(filepath.Join(dir, "ssh_config")))
	}
	return s, nil
}

// keyFile is the SSH key of a connection, in the scratch's folder.
const keyFile = "connection_key"

func (s *scratch) remove() { _ = os.RemoveAll(s.dir) }

// repository is the folder of the objects received.
func (s *scratch) repository() string { return filepath.Join(s.dir, "repository.git") }

func (s *scratch) writeFile(name, content string) error {
	return os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600)
}

// settings is git's configuration for this scratch. It is a file because a git that serves a local path (upload-pack)
// is started without the settings of the command line but reads this file.
func (r *Repositories) settings(s *scratch) string {
	var file strings.Builder
	stored := "store --file=" + shellQuote(filepath.Join(s.dir, "credentials"))
	fmt.Fprintf(&file, "[credential]\n\thelper = %s\n", configQuote(stored))
	// What the administrator added comes in the middle: after what it may add to, before what it may not change.
	fmt.Fprintf(&file, "[include]\n\tpath = %s\n", configQuote(filepath.Join(r.config.Data, "gitconfig")))
	if s.from.isForeign { // an empty value forgets those before it
		file.WriteString("[credential]\n\thelper =\n[http]\n\textraHeader =\n")
	} else if s.from.access != nil {
		// An empty helper forgets those before it: a connection asks with its own credentials alone. Git tells all helpers of
		// credentials that were asked for and taken.
		fmt.Fprintf(&file, "[credential]\n\thelper =\n\thelper = %s\n\thelper = %s\n\tuseHttpPath = false\n", configQuote(stored),
			configQuote("!f() { cat >/dev/null; test \"$1\" != store || : >"+shellQuote(s.takenMark())+"; }; f"))
	}
	file.WriteString("[safe]\n\tdirectory = *\n" +
		"[protocol]\n\tallow = never\n" +
		"[protocol \"http\"]\n\tallow = always\n[protocol \"https\"]\n\tallow = always\n" +
		"[protocol \"ssh\"]\n\tallow = always\n[protocol \"file\"]\n\tallow = always\n" +
		"[core]\n\thooksPath = /dev/null\n\tbigFileThreshold = 16m\n\tdeltaBaseCacheLimit = 32m\n" +
		"\tpackedGitWindowSize = 32m\n\tpackedGitLimit = 256m\n\tautocrlf = false\n\tsymlinks = true\n" +
		"[pack]\n\twindowMemory = 64m\n\tthreads = 2\n" +
		"[fetch]\n\twriteCommitGraph = false\n\trecurseSubmodules = false\n" +
		"[submodule]\n\trecurse = false\n" +
		"[gc]\n\tauto = 0\n")
	seconds := max(1, int(r.config.Limits.Silence.Seconds()))
	fmt.Fprintf(&file, "[http]\n\tlowSpeedLimit = 1\n\tlowSpeedTime = %d\n", seconds)
	return file.String()
}

// writeCredentials writes the file that git's "store" helper reads: the connection's alone, or the URL's own first and then
// the administrator's. It is a copy, so that git neither adds a URL's password to the administrator's file nor removes
// a refused one from it.
func (r *Repositories) writeCredentials(s *scratch) error {
	s.keepSecret(s.from.user)
	if s.from.isForeign {
		return nil
	}
	if access := s.from.access; access != nil {
		if !s.from.isHTTP {
			return nil
		}
		scheme, host := s.from.origin()
		own := url.UserPassword(access.User, access.Password)
		s.keepSecret(own)
		s.secrets = append(s.secrets, base64.StdEncoding.EncodeToString([]byte(access.User+":"+access.Password)))
		return s.writeFile("credentials", (&url.URL{Scheme: scheme, Host: host, User: own}).String()+"\n")
	}
	lines, err := readLines(filepath.Join(r.config.Data, "git-credentials"))
	if err != nil {
		return err
	}
	for _, line := range lines {
		if u, err := url.Parse(line); err == nil {
			s.keepSecret(u.User)
		}
	}
	if own := s.from.user; own != nil && own.Username() != "" {
		scheme, host := s.from.origin()
		password, hasPassword := own.Password()
		line := (&url.URL{Scheme: scheme, Host: host, User: url.UserPassword(own.Username(), password)}).String()
		// A user without a password is either someone whose password the administrator noted, or a token.
		isOwn := func(line string) bool {
			u, err := url.Parse(line)
			return err == nil && u.Scheme == scheme && u.Host == host && u.User.Username() == own.Username()
		}
		if i := slices.IndexFunc(lines, isOwn); i >= 0 && !hasPassword {
			line = lines[i]
			lines = slices.Delete(lines, i, i+1)
		}
		lines = slices.Insert(lines, 0, line)
	}
	return s.writeFile("credentials", strings.Join(append(lines, ""), "\n"))
}

// keepSecret remembers what a URL carried, so that it can be taken out of git's output.
func (s *scratch) keepSecret(user *url.Userinfo) {
	if user == nil {
		return
	}
	password, hasPassword := user.Password()
	if password != "" {
		s.secrets = append(s.secrets, password, url.QueryEscape(password), url.PathEscape(password))
	}
	if !hasPassword || password == "" {
		// The user name alone may be a token.
		if name := user.Username(); len(name) >= 16 {
			s.secrets = append(s.secrets, name)
		}
	}
}

func readLines(path string) ([]string, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var lines []string
	scanner := bufio.NewScanner(bytes.NewReader(content))
	for scanner.Scan() {
		if line := strings.TrimSpace(scanner.Text()); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines, scanner.Err()
}

// takenMark is a file that is there once the server has asked for credentials and taken them.
func (s *scratch) takenMark() string { return filepath.Join(s.dir, "taken") }

// sshSettings is ssh's configuration: the administrator's first (in ssh the first value counts), then ours. A connection's
// key is the first that is shown, and takes the place of the administrator's id_*.
func (r *Repositories) sshSettings(s *scratch) string {
	folder := r.sshFolder()
	var file strings.Builder
	if s.from.access != nil {
		fmt.Fprintf(&file, "IdentityFile \"%s\"\n", filepath.Join(s.dir, keyFile))
	}
	if own := filepath.Join(folder, "config"); exists(own) && !s.from.isForeign {
		fmt.Fprintf(&file, "Include \"%s\"\n", own)
	}
	fmt.Fprintf(&file, "Host *\n\tStrictHostKeyChecking accept-new\n\tUserKnownHostsFile \"%s\"\n", filepath.Join(folder, "known_hosts"))
	file.WriteString("\tConnectTimeout 15\n\tServerAliveInterval 15\n\tServerAliveCountMax 3\n" +
		"\tIdentitiesOnly yes\n\tIdentityAgent none\n\tClearAllForwardings yes\n\tLogLevel ERROR\n")
	if s.from.access != nil {
		file.WriteString("\tUser git\n") // where the URL names nobody
		return file.String()
	}
	keys, _ := filepath.Glob(filepath.Join(folder, "id_*"))
	if s.from.isForeign {
		keys = nil
	}
	for _, key := range keys {
		if !strings.HasSuffix(key, ".pub") {
			fmt.Fprintf(&file, "\tIdentityFile \"%s\"\n", key)
		}
	}
	if len(keys) == 0 {
		file.WriteString("\tIdentityFile none\n")
	}
	return file.String()
}

func (r *Repositories) sshFolder() string { return filepath.Join(r.config.Data, "ssh") }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// configQuote quotes a value for a git configuration file.
func configQuote(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(value) + `"`
}

// shellQuote quotes a word for the shell that git itself starts.
func shellQuote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }
