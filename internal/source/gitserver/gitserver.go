// Package gitserver is the Git server inside apron: bare repositories in one folder, pushed to and read by Git's smart
// HTTP protocol at /git/NAME.git with the key pair as basic authentication.
//
// A repository is made by the first push to it, and stays until it is removed by DELETE. Its HEAD follows the first branch pushed. Hooks never run. Pushes to one
// repository run one after the other; reads run beside them. What the protocol means is git's own matter
// (`git upload-pack` and `git receive-pack`); this package is the HTTP around it.
package gitserver

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/apron-run/apron/internal/source"
	"github.com/apron-run/apron/internal/source/gitexec"
)

// Config says where the repositories are and who may use them.
type Config struct {
	// Dir holds the repositories as NAME.git.
	Dir string
	// Keys is the one key pair that may read and push.
	Keys source.KeyPair
	// MaxPushBytes bounds one push; 0 means 1 GiB.
	MaxPushBytes int64
	// IdleTimeout ends a transfer in which nothing moves; 0 means a minute.
	IdleTimeout time.Duration
	// KeepAlive is how long a client may hear nothing while it is told of its push: what lies between may give it up then.
	// 0 means 5 seconds.
	KeepAlive time.Duration
	// MaxTransferTime ends any transfer; 0 means an hour.
	MaxTransferTime time.Duration
	// OnPush is called after a push for each branch that changed, before the client's git returns, and with a context that
	// does not end with the client. It must not block for long. What it returns, if that is not nil, is called next, as
	// long as the client is there and without holding up other pushes: what it writes, whole lines, the client's git shows
	// its user, and returns when it does. May be nil.
	OnPush func(context.Context, Push) (tell func(context.Context, io.Writer))
	// Room is asked when a push begins; its error, which git shows, refuses it. May be nil.
	Room func() error
	Log  *slog.Logger
}

// Server is the handler of /git/. It is safe for concurrent use.
type Server struct {
	config  Config
	handler http.Handler

	mu      sync.Mutex // guards pushing
	pushing map[string]chan struct{}
}

// maxMemoryBytes bounds each git process.
const maxMemoryBytes = 2 << 30

// New returns the Server of the repositories in config.Dir, which is made when the first one is.
func New(config Config) *Server {
	if config.MaxPushBytes == 0 {
		config.MaxPushBytes = 1 << 30
	}
	if config.IdleTimeout == 0 {
		config.IdleTimeout = time.Minute
	}
	if config.KeepAlive == 0 {
		config.KeepAlive = 5 * time.Second
	}
	if config.MaxTransferTime == 0 {
		config.MaxTransferTime = time.Hour
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{config: config, pushing: map[string]chan struct{}{}}
	s.handler = source.EndStalled(config.IdleTimeout, http.HandlerFunc(s.serve))
	return s
}

// ServeHTTP answers /git/NAME.git/… (the ".git" may be left out). DELETE of /git/NAME.git removes the repository.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
	if !s.config.Keys.Allows(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="apron", charset="UTF-8"`)
		refuse(w, http.StatusUnauthorized, "use the access key id as user name and the secret access key as password (apron env prints both)")
		return
	}
	name, endpoint, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/git/"), "/")
	name = strings.TrimSuffix(name, ".git")
	if !IsName(name) {
		refuse(w, http.StatusNotFound, "a repository's name has 1 to 100 letters, digits, dots, hyphens or underscores and begins with a letter or digit")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.config.MaxTransferTime)
	defer cancel()
	r = r.WithContext(ctx)
	switch {
	case endpoint == "info/refs" && r.Method == http.MethodGet:
		s.advertise(w, r, name)
	case endpoint == uploadPack && r.Method == http.MethodPost:
		s.upload(w, r, name)
	case endpoint == receivePack && r.Method == http.MethodPost:
		s.receive(w, r, name)
	case endpoint == "" && r.Method == http.MethodDelete:
		s.remove(w, r, name)
	default:
		refuse(w, http.StatusNotFound, "this is a Git server: use git clone, git fetch or git push")
	}
}

const (
	uploadPack  = "git-upload-pack"
	receivePack = "git-receive-pack"
)

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// IsName says whether name can be a repository's name (without ".git").
func IsName(name string) bool {
	return namePattern.MatchString(name) && !strings.Contains(name, "..") &&
		!strings.HasSuffix(name, ".") && !strings.HasSuffix(name, ".git") && !strings.HasSuffix(name, ".lock")
}

// advertise answers the first request of every fetch and push: which refs there are.
func (s *Server) advertise(w http.ResponseWriter, r *http.Request, name string) {
	service := r.URL.Query().Get("service")
	switch service {
	case uploadPack:
		if !s.exists(name) {
			refuse(w, http.StatusNotFound, fmt.Sprintf("there is no repository %s yet: git push makes it", name))
			return
		}
	case receivePack:
		if s.config.Room != nil {
			if err := s.config.Room(); err != nil {
				refuse(w, http.StatusInsufficientStorage, err.Error())
				return
			}
		}
		if err := s.ensure(r.Context(), name); err != nil {
			s.fail(w, r, name, err)
			return
		}
	default:
		refuse(w, http.StatusForbidden, "this server speaks Git's smart HTTP protocol only")
		return
	}
	w.Header().Set("Content-Type", "application/x-"+service+"-advertisement")
	cmd, tail := s.command(r, strings.TrimPrefix(service, "git-"), "--stateless-rpc", "--http-backend-info-refs", s.path(name))
	// Version 2 of the protocol answers with capabilities instead of refs and has no such first line.
	if service == receivePack || !strings.Contains(r.Header.Get("Git-Protocol"), "version=2") {
		line := "# service=" + service + "\n"
		fmt.Fprintf(w, "%04x%s0000", len(line)+4, line)
	}
	cmd.Stdout = w
	s.logFailure(r, name, cmd.Run(), tail)
}

// upload answers a fetch or clone.
func (s *Server) upload(w http.ResponseWriter, r *http.Request, name string) {
	if !s.exists(name) {
		refuse(w, http.StatusNotFound, fmt.Sprintf("there is no repository %s", name))
		return
	}
	// A fetch asks with a list of commit ids; 64 MiB of them is beyond any real one.
	body, err := requestBody(w, r, 64<<20)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
	cmd, tail := s.command(r, "upload-pack", "--stateless-rpc", s.path(name))
	cmd.Stdin, cmd.Stdout = body, w
	s.logFailure(r, name, cmd.Run(), tail)
}

// receive answers a push.
func (s *Server) receive(w http.ResponseWriter, r *http.Request, name string) {
	if !s.exists(name) {
		refuse(w, http.StatusNotFound, fmt.Sprintf("there is no repository %s", name))
		return
	}
	body, err := requestBody(w, r, s.config.MaxPushBytes+1<<20)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	answer := &answer{to: w}
	tells, err := s.push(w, r, name, body, answer)
	if err != nil {
		s.fail(w, r, name, err)
		return
	}
	answer.tell(r.Context(), s.config.KeepAlive, tells)
	_ = answer.end() // a client that does not take it is gone
}

// remove removes a repository, once no push to it runs. What is being read from it breaks off.
func (s *Server) remove(w http.ResponseWriter, r *http.Request, name string) {
	release, err := s.claim(r.Context(), name)
	if err != nil {
		s.fail(w, r, name, err)
		return
	}
	defer release()
	if !s.exists(name) {
		refuse(w, http.StatusNotFound, fmt.Sprintf("there is no repository %s", name))
		return
	}
	if err := s.discard(name); err != nil {
		s.fail(w, r, name, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// claim waits until no other push to the repository runs; the caller releases.
func (s *Server) claim(ctx context.Context, name string) (release func(), err error) {
	s.mu.Lock()
	turn, ok := s.pushing[name]
	if !ok {
		turn = make(chan struct{}, 1)
		s.pushing[name] = turn
	}
	s.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for another push: %w", context.Cause(ctx))
	}
}

// requestBody returns the body, unpacked when the client packed it, of at most limit bytes before and after.
func requestBody(w http.ResponseWriter, r *http.Request, limit int64) (io.Reader, error) {
	body := http.MaxBytesReader(w, r.Body, limit)
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			return nil, fmt.Errorf("the body is not gzip: %w", err)
		}
		return http.MaxBytesReader(w, io.NopCloser(unpacked), limit), nil
	default:
		return nil, fmt.Errorf("content encoding %q is not supported", encoding)
	}
}

// protocolPattern is what a Git-Protocol header may hold before it becomes git's environment.
var protocolPattern = regexp.MustCompile(`^[a-z0-9=:.-]{1,100}$`)

// command returns git with the settings of this server.
func (s *Server) command(r *http.Request, args ...string) (*exec.Cmd, *gitexec.Tail) {
	options := gitexec.Options{Settings: serverSettings(s.config.MaxPushBytes), Grace: s.config.IdleTimeout, MaxMemoryBytes: maxMemoryBytes}
	if protocol := r.Header.Get("Git-Protocol"); protocolPattern.MatchString(protocol) {
		options.Environment = []string{"GIT_PROTOCOL=" + protocol}
	}
	cmd := gitexec.Command(r.Context(), options, args...)
	tail := &gitexec.Tail{}
	cmd.Stderr = tail
	return cmd, tail
}

// logFailure logs what went wrong after the answer had begun; the client has heard it from git.
func (s *Server) logFailure(r *http.Request, name string, err error, tail *gitexec.Tail) {
	if err != nil {
		s.config.Log.Warn("git request failed", "repository", name, "path", r.URL.Path, "error", err, "output", tail.Lines())
	}
}

// fail answers and logs what went wrong before the answer had begun.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, name string, err error) {
	s.config.Log.Error("git request failed", "repository", name, "path", r.URL.Path, "error", err)
	refuse(w, http.StatusInternalServerError, "apron could not do this; its log says why")
}

// refuse answers in plain text, which git shows to its user line by line as "remote: …".
func refuse(w http.ResponseWriter, status int, sentence string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	fmt.Fprintln(w, sentence)
}
