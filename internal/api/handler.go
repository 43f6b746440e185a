package api

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/apron-run/apron/apprunner"
	"github.com/apron-run/apron/internal/api/sigv4"
)

const (
	contentType = "application/x-amz-json-1.0"
	signingName = "apprunner"

	// maxBody bounds a request. The largest member allowed, an environment of many variables, is far below.
	maxBody = 1 << 20
	// usualBody is the length up to which a caller is believed, and memory made at once.
	usualBody = 4 << 10
	// defaultBodyTimeout bounds how long a body may take to arrive.
	defaultBodyTimeout = 30 * time.Second

	// A caller that is refused for its size is still writing. What it writes is thrown away for a while, so that it
	// comes to read the answer instead of meeting a closed connection.
	maxDiscarded   = 64 << 20
	discardTimeout = 5 * time.Second
)

// Handler answers the App Runner API at POST /.
type Handler struct {
	Config
	verifier sigv4.Verifier
	entries  registry
	pages    pager
	requests *requestLog
}

// New returns a Handler.
func New(config Config) *Handler {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.BodyTimeout == 0 {
		config.BodyTimeout = defaultBodyTimeout
	}
	if config.Provision == nil {
		config.Provision = func() {}
	}
	if config.Retag == nil {
		config.Retag = func() {}
	}
	if config.Log == nil {
		config.Log = slog.Default()
	}
	h := &Handler{Config: config, pages: pager{config.TokenKey}, requests: newRequestLog(config.Log)}
	h.verifier = sigv4.Verifier{
		Secret: h.secret, Region: config.Region, SigningNames: []string{signingName}, Now: config.Now,
	}
	h.entries = h.register()
	return h
}

func (h *Handler) secret(accessKeyID string) (string, bool) {
	if h.Keys.ID == "" || h.Keys.Secret == "" {
		return "", false
	}
	return h.Keys.Secret, hmac.Equal([]byte(accessKeyID), []byte(h.Keys.ID))
}

// ServeHTTP answers one action.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	asked := &asked{id: uuid.NewString(), begun: time.Now()}
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("X-Amzn-Requestid", asked.id)
	// Clients learn from an error's Date how wrong their clock is.
	header.Set("Date", h.Now().UTC().Format(http.TimeFormat))

	body, err := h.answer(w, r, asked)
	if err == nil {
		writeBody(w, http.StatusOK, body)
		h.requests.write(r, asked, http.StatusOK, "")
		return
	}
	refusal := h.refusal(r, asked, err)
	header.Set("X-Amzn-Errortype", string(refusal.Code))
	status := statuses[refusal.Code]
	if refusal.Code == codeRequestTooLarge {
		header.Set("Connection", "close")
	}
	writeBody(w, status, apprunner.EncodeException(apprunner.NewException(refusal.Code, status, refusal.Message)))
	h.requests.write(r, asked, status, refusal.Code)
	if refusal.Code == codeRequestTooLarge {
		discard(w, r)
	}
}

// answer returns the body of a good answer, and fills asked in. A panic of an action is an error like any other.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, asked *asked) (body []byte, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		}
	}()
	if r.URL.Path != "/" || r.Method != http.MethodPost {
		return nil, unknownOperation("Actions are called by POST /, and this is %s %s.", r.Method, shorten(r.URL.EscapedPath()))
	}
	request, err := h.readBody(w, r)
	if err != nil {
		return nil, err
	}
	var bad *sigv4.Error
	caller, err := h.verifier.Verify(r, request)
	if errors.As(err, &bad) {
		return nil, badSignature(bad)
	} else if err != nil {
		return nil, err
	}
	asked.keyID = caller.AccessKeyID
	found, err := h.route(r)
	if err != nil {
		return nil, err
	}
	asked.action = found.action.Name
	return found.answer(r.Context(), request)
}

// route returns what answers the request's target.
func (h *Handler) route(r *http.Request) (entry, error) {
	target, err := targetOf(r)
	if err != nil {
		return entry{}, err
	}
	found, isKnown := h.entries[target]
	if !isKnown {
		return entry{}, unknownOperation("There is no action %s.", strconv.Quote(target[:min(len(target), 128)]))
	}
	given := r.Header.Get("Content-Type")
	if given == contentType { // as every client has it
		return found, nil
	}
	if kind, _, err := mime.ParseMediaType(given); err != nil || kind != contentType {
		return entry{}, unsupportedMediaType("The Content-Type must be %s.", contentType)
	}
	return found, nil
}

// targetOf returns the action that is asked for. SDKs that presign move the header into the query.
func targetOf(r *http.Request) (string, error) {
	const name = "X-Amz-Target"
	targets := r.Header.Values(name)
	if len(targets) == 0 && sigv4.IsPresigned(r) {
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return "", unknownOperation("The query cannot be read.")
		}
		targets = query[name]
	}
	if len(targets) != 1 {
		return "", unknownOperation("The request must have one X-Amz-Target header, such as %sListServices.", apprunner.TargetPrefix)
	}
	return targets[0], nil
}

// readBody reads a bounded body in a bounded time.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > maxBody {
		return nil, requestTooLarge()
	}
	control := http.NewResponseController(w)
	// Not every ResponseWriter has deadlines, and without one the server's own still holds.
	_ = control.SetReadDeadline(time.Now().Add(h.BodyTimeout))
	var body []byte
	var err error
	if r.ContentLength > 0 && r.ContentLength <= usualBody {
		body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(r.Body, body)
	} else {
		body, err = io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	}
	if err == nil {
		// Only now: before it answers, net/http reads what is left of a body, and would wait for it without end.
		_ = control.SetReadDeadline(time.Time{})
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, requestTimeout(h.BodyTimeout)
	case err != nil:
		return nil, serialization("The request's body did not arrive whole.")
	case len(body) > maxBody:
		return nil, requestTooLarge()
	}
	return body, nil
}

// refusal turns any error into the one that the caller sees, and logs what the caller does not see.
func (h *Handler) refusal(r *http.Request, asked *asked, err error) *Error {
	var refused *Error
	if errors.As(err, &refused) {
		return refused
	}
	level := slog.LevelError
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		level = slog.LevelDebug // the caller left, and nobody reads the answer
	}
	h.Log.Log(r.Context(), level, "action failed", "action", asked.action, "request", asked.id, "error", err)
	fault := ""
	if h.StoreFault != nil {
		fault = h.StoreFault(err)
	}
	return internalError(asked.id, fault)
}

func writeBody(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error means that the caller left
}

// discard reads on after the answer, within bounds. A caller that waits to be asked for its body never sends it.
func discard(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	if r.Header.Get("Expect") != "" || control.Flush() != nil {
		return
	}
	if control.SetReadDeadline(time.Now().Add(discardTimeout)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, maxDiscarded) // whatever happens, the connection is closed next
}
