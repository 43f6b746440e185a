// Package registryserver is the OCI registry inside apron: images in one folder, pushed and pulled at /v2/ with the
// key pair as basic authentication by docker, crane, skopeo and every other client of the distribution specification.
//
// The protocol and the storage are those of the distribution project, embedded as a library (docs/decisions/
// embedded-registry.md); this package is its configuration, authentication, limits and what happens after a push. It
// opens no listener, sends no telemetry and logs through slog.
package registryserver

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/distribution/distribution/v3/registry/storage"
	"github.com/distribution/distribution/v3/registry/storage/driver/factory"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // the storage used below
	"github.com/distribution/reference"

	"github.com/apron-run/apron/internal/source"
)

// Config says where the images are and who may use them.
type Config struct {
	// Dir holds the images. Its layout is the distribution project's.
	Dir string
	// Keys is the one key pair that may pull and push.
	Keys source.KeyPair
	// MaxLayerBytes bounds one layer; 0 means 10 GiB.
	MaxLayerBytes int64
	// IdleTimeout ends a transfer in which nothing moves; 0 means a minute.
	IdleTimeout time.Duration
	// MaxTransferTime ends any request; 0 means two hours.
	MaxTransferTime time.Duration
	// OnPush is called for each tag that means another image after a push, once it can be pulled and before the client is
	// done, with a context that does not end with the client. It must not block for long. May be nil.
	OnPush func(context.Context, Push)
	// Keep returns the digests of images that stay although no tag names them. May be nil.
	Keep func(ctx context.Context) ([]string, error)
	// Room is asked when a push begins to send something; its error, which the client shows, refuses it. May be nil.
	Room func() error
	Log  *slog.Logger
}

// Server is the handler of /v2/. It is safe for concurrent use.
type Server struct {
	config  Config
	app     *handlers.App
	handler http.Handler
	// touching is held while something is made young, and while it is looked at and deleted.
	touching sync.Mutex
	// collecting is held for reading while a manifest is put, and for writing while garbage is collected.
	collecting sync.RWMutex
}

// Uploads that nobody finished are removed once they are older than maxUploadAge.
const (
	maxUploadAge  = 24 * time.Hour
	cleanUpPeriod = time.Hour
)

// New returns the Server of the images in config.Dir, which is made when the first one is pushed.
func New(config Config) *Server {
	if config.MaxLayerBytes == 0 {
		config.MaxLayerBytes = 10 << 30
	}
	if config.IdleTimeout == 0 {
		config.IdleTimeout = time.Minute
	}
	if config.MaxTransferTime == 0 {
		config.MaxTransferTime = 2 * time.Hour
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	sendLogs(config.Log)
	s := &Server{config: config, app: handlers.NewApp(context.Background(), settings(config))}
	s.handler = source.EndStalled(config.IdleTimeout, http.HandlerFunc(s.serve))
	return s
}

// settings is the distribution project's configuration for us.
func settings(config Config) *configuration.Configuration {
	settings := &configuration.Configuration{
		Storage: configuration.Storage{
			"filesystem": {"rootdirectory": config.Dir},
			"delete":     {"enabled": true},
			"redirect":   {"disable": true},
			// Run does it: a constructor starts nothing.
			"maintenance": {"uploadpurging": map[any]any{"enabled": false}},
		},
	}
	// The state of an upload that a client carries from request to request is signed. The key follows from the secret,
	// so that an upload goes on after a restart.
	mac := hmac.New(sha256.New, []byte(config.Keys.Secret))
	mac.Write([]byte("apron registry: state of uploads"))
	settings.HTTP.Secret = hex.EncodeToString(mac.Sum(nil))
	settings.Log.AccessLog.Disabled = true
	settings.Catalog.MaxEntries = 1000
	return settings
}

// Run removes uploads that nobody finished and what no tag names, now and then every hour, until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	ticker := time.NewTicker(cleanUpPeriod)
	defer ticker.Stop()
	for {
		s.CleanUp(ctx, maxUploadAge)
		if err := s.Collect(ctx, garbageAge); err != nil && ctx.Err() == nil {
			s.config.Log.Error("images that no tag names not removed", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// CleanUp removes uploads that were begun longer ago than age and not finished.
func (s *Server) CleanUp(ctx context.Context, age time.Duration) {
	if _, err := os.Stat(s.repositories()); err != nil {
		return // nothing was ever pushed
	}
	driver, err := factory.Create(ctx, "filesystem", map[string]any{"rootdirectory": s.config.Dir})
	if err != nil {
		s.config.Log.Error("uploads not cleaned up", "error", err)
		return
	}
	deleted, failures := storage.PurgeUploads(ctx, driver, time.Now().Add(-age), true)
	for _, err := range failures {
		if ctx.Err() == nil {
			s.config.Log.Warn("upload not cleaned up", "error", err)
		}
	}
	if len(deleted) > 0 {
		s.config.Log.Info("unfinished uploads removed", "count", len(deleted))
	}
}

// Has says whether an image was ever pushed to the repository.
func (s *Server) Has(_ context.Context, repository string) (bool, error) {
	if _, err := reference.WithName(repository); err != nil {
		return false, nil // such a repository cannot exist
	}
	_, err := os.Stat(filepath.Join(s.repositories(), filepath.FromSlash(repository), "_manifests"))
	if os.IsNotExist(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for repository: %w", err)
	}
	return true, nil
}

// repositories is where the distribution project's filesystem storage keeps what belongs to a name.
func (s *Server) repositories() string {
	return filepath.Join(s.config.Dir, "docker", "registry", "v2", "repositories")
}

// ServeHTTP answers /v2/….
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !s.config.Keys.Allows(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="apron"`)
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED",
			"log in with the access key id as user name and the secret access key as password (apron env prints both)")
		return
	}
	if s.isTooLarge(r) {
		refuse(w, http.StatusRequestEntityTooLarge, "SIZE_INVALID", fmt.Sprintf("a layer may have at most %d bytes", s.config.MaxLayerBytes))
		return
	}
	if s.config.Room != nil && r.Method == http.MethodPost {
		if err := s.config.Room(); err != nil {
			refuse(w, http.StatusInsufficientStorage, "DENIED", err.Error())
			return
		}
	}
	s.touch(r)
	// The distribution project would check credentials that it has no use for, and may log what it gets.
	r.Header.Del("Authorization")
	ctx, cancel := context.WithTimeout(r.Context(), s.config.MaxTransferTime)
	defer cancel()
	r = r.WithContext(ctx)
	if r.Body != nil {
		r.Body = http.MaxBytesReader(w, r.Body, s.config.MaxLayerBytes)
	}
	if r.Method == http.MethodPut && manifestPattern.MatchString(r.URL.Path) {
		// Read before the lock is taken, so that a slow client holds up nobody.
		manifest, err := io.ReadAll(io.LimitReader(r.Body, maxManifestBytes+1))
		if err != nil {
			refuse(w, http.StatusBadRequest, "MANIFEST_INVALID", "the manifest did not arrive whole")
			return
		}
		if err := checkManifest(manifest); err != nil {
			refuse(w, http.StatusBadRequest, "MANIFEST_INVALID", err.Error())
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(manifest))
		s.collecting.RLock()
		defer s.collecting.RUnlock()
	}
	answer := &answer{ResponseWriter: w}
	push, isTag := pushOf(r)
	if !isTag {
		s.app.ServeHTTP(answer, r)
		return
	}
	before := s.digestOf(push)
	end, err := s.unannounced().Begin(push.Repository+":"+push.Tag, before)
	if err != nil {
		s.config.Log.Error("push refused", "repository", push.Repository, "tag", push.Tag, "error", err)
		refuse(w, http.StatusInternalServerError, "UNKNOWN", "apron could not do this; its log says why")
		return
	}
	defer s.forget(push, end)
	s.app.ServeHTTP(answer, r)
	if answer.status == http.StatusCreated {
		s.announce(context.WithoutCancel(r.Context()), push, before)
	}
}

// isTooLarge says whether the request announces more than a layer may have, alone or with what came before it.
func (s *Server) isTooLarge(r *http.Request) bool {
	if r.ContentLength > s.config.MaxLayerBytes {
		return true
	}
	_, end, ok := strings.Cut(r.Header.Get("Content-Range"), "-")
	last, err := strconv.ParseInt(end, 10, 64)
	return ok && err == nil && last >= s.config.MaxLayerBytes
}

// answer remembers the status.
type answer struct {
	http.ResponseWriter
	status int
}

// clientClosedRequest is what the distribution project answers to an upload that breaks off, for its own log.
const clientClosedRequest = 499

func (a *answer) WriteHeader(status int) {
	if a.status != 0 {
		return // after the status for an upload that breaks off comes that of the error
	}
	if status == clientClosedRequest {
		status = http.StatusRequestTimeout // the client may still listen: it has only stopped sending
	}
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(p)
}

func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// refuse answers with an error as the distribution specification has it; clients show its message.
func refuse(w http.ResponseWriter, status int, code, message string) {
	type failure struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Docker-Distribution-API-Version", "registry/2.0")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string][]failure{"errors": {{Code: code, Message: message}}})
}
