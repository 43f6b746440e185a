// Package webhook answers POST /webhooks/ID, by which Git hosts and registries tell that something was pushed. ID is the
// service's id; whoever calls proves that it knows the service's secret, in the way of its host (see verify.go), or as the
// path's last part where a host has no other way.
//
// What a call says is a hint and nothing more: it is handed on as one, and whoever takes it looks at the source. So a call
// that is repeated does no harm. Nothing is asked of an address that a call names. Calls are bounded in size, in number at a
// time and in the time that they take; what a stranger is answered says nothing about what there is.
package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/apron-run/apron/internal/platform"
)

// Path is where the webhooks are, before the service's id.
const Path = "/webhooks/"

const (
	// maxBody bounds a call. Hosts cut a push's list of commits long before.
	maxBody = 5 << 20
	// maxCalls bounds the calls at a time, and so the memory that strangers can have used.
	maxCalls = 16
	// callTime bounds how long a call's body may take to arrive.
	callTime = 10 * time.Second
)

// Target is what a webhook is for.
type Target struct {
	Service platform.Service
	Secret  string
	// Tag is the image's, as far as it can change; empty for a code source.
	Tag string
}

// Hint is what a call tells, in words for people but for the commit.
type Hint struct {
	// What happened: "push of main by ada". From is the kind of host that says so; empty where it does not say what it is.
	What, From string
	// Commit is empty where it is not told.
	Commit    string
	IsDeleted bool
}

// Config is all that a Handler needs.
type Config struct {
	// Target returns what the webhook of a service is for; ok is false when it has none.
	Target func(ctx context.Context, service platform.ServiceID) (target Target, ok bool, err error)
	// Hint takes what was told of a service's source. It must not block.
	Hint func(service platform.ServiceID, hint Hint)
	// Event adds a line to a service's event log.
	Event func(service platform.ServiceID, format string, args ...any)
	Log   *slog.Logger
}

// Handler answers the calls. It is safe for concurrent use.
type Handler struct {
	config Config
	calls  chan struct{}
}

// New returns a Handler.
func New(config Config) *Handler { return &Handler{config, make(chan struct{}, maxCalls)} }

// ServeHTTP answers one call.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		answer(w, http.StatusMethodNotAllowed, "A webhook is called by POST.")
		return
	}
	select {
	case h.calls <- struct{}{}:
		defer func() { <-h.calls }()
	default:
		w.Header().Set("Retry-After", "5")
		answer(w, http.StatusServiceUnavailable, "There are too many calls now.")
		return
	}
	id, presented, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, Path), "/")
	target, isThere, err := h.config.Target(r.Context(), platform.ServiceID(id))
	switch {
	case err != nil:
		h.config.Log.Error("read the target of a webhook", "service", id, "error", err)
		answer(w, http.StatusInternalServerError, "apron could not do this; its log says why.")
		return
	case !isThere:
		answer(w, http.StatusNotFound, "There is no such webhook.")
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(callTime)) // where there are none, the server's own holds
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		answer(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("A call has at most %d MB.", maxBody>>20))
	case err != nil:
		answer(w, http.StatusBadRequest, "The call did not arrive whole.")
	case !isProven(r.Header, body, presented, target.Secret, time.Now()):
		h.config.Log.Warn("webhook refused: it does not prove that it knows the secret", "service", target.Service.ID, "from", r.RemoteAddr)
		answer(w, http.StatusUnauthorized, "The secret or the signature is missing or wrong.")
	default:
		status, sentence := h.take(target, r.Header, body)
		answer(w, status, sentence)
	}
}

// take acts on a call that has proven where it comes from.
func (h *Handler) take(target Target, header http.Header, body []byte) (status int, sentence string) {
	message, err := read(header, body)
	if err != nil {
		return http.StatusBadRequest, fmt.Sprintf("The call cannot be read: %s.", err)
	}
	service := target.Service
	from := service.Configuration.Source
	made := "the branch " + branchOf(from)
	if from.Image != nil {
		made = "the image " + from.Image.Identifier
	}
	switch {
	case message.confirm != "":
		h.config.Event(service.ID, "To let Amazon SNS call the webhook, open %s", message.confirm)
		return http.StatusOK, "The event log of the service has the address that confirms this."
	case !from.IsAutoDeployed:
		return http.StatusOK, fmt.Sprintf("Nothing to do: AutoDeploymentsEnabled of the service %s is false.", service.Name)
	case message.isPing:
		return http.StatusOK, fmt.Sprintf("It works. A push to %s deploys the service %s.", made, service.Name)
	}
	for _, told := range message.events {
		if !told.isAbout(from, target.Tag) {
			continue
		}
		h.config.Hint(service.ID, told.hint(from, target.Tag, message.from))
		return http.StatusAccepted, fmt.Sprintf("apron looks what %s means now, and deploys the service %s if that has changed.", made, service.Name)
	}
	return http.StatusOK, fmt.Sprintf("Nothing to do: the service %s is made from %s.", service.Name, made)
}

func branchOf(from platform.Source) string {
	if from.Code == nil {
		return ""
	}
	return from.Code.Branch
}

// answer answers in plain text: hosts show it beside the call.
func answer(w http.ResponseWriter, status int, sentence string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if status >= http.StatusBadRequest {
		w.Header().Set("Connection", "close") // nobody waits for the rest of a body
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, sentence+"\n")
}

// URL returns the webhook of a service below base. With a secret it is the one for hosts that have no other way.
func URL(base string, service platform.ServiceID, secret string) string {
	address := strings.TrimRight(base, "/") + Path + string(service)
	if secret != "" {
		address += "/" + url.PathEscape(secret)
	}
	return address
}
