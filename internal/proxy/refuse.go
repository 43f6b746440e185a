package proxy

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/internal/proxy/rules"
)

// refusal is an answer of the proxy's own.
type refusal struct {
	status int
	// message is one sentence that says what is the matter, and what to do about it.
	message string
	// retryAfter is when another try may do better; 0 when none will.
	retryAfter time.Duration
}

// The waits that a 503 asks for.
const (
	retryPaused   = time.Minute
	retryStarting = 5 * time.Second
	retryNotReady = time.Second
)

// refuseRoute is why a route has no instance to offer; hasTried says that some did not accept a connection.
func refuseRoute(host string, route *route, hasTried bool) *refusal {
	switch {
	case route == nil && host == "":
		return &refusal{status: http.StatusNotFound, message: "The request names no host, so no service can answer it. Send a Host header."}
	case route == nil:
		return &refusal{status: http.StatusNotFound, message: fmt.Sprintf("No service answers at %s. Check the address; `apron services` lists those that there are.", host)}
	case route.State == platform.RouteStatePaused:
		return unavailable(retryPaused, "The service %s is paused. Resume it with `apron resume %[1]s`.", route)
	case route.State == platform.RouteStateStarting:
		return unavailable(retryStarting, "The service %s is starting. Try again in a moment; `apron service %[1]s` tells how far it is.", route)
	case hasTried:
		return unavailable(retryNotReady, "No instance of the service %s accepts connections. Try again in a moment; `apron logs %[1]s` may tell why.", route)
	default:
		return unavailable(retryNotReady, "The service %s has no instance that is ready. Try again in a moment; `apron service %[1]s` and `apron logs %[1]s` may tell why.", route)
	}
}

// unavailable is for a request that no instance has had. format has the service's name.
func unavailable(retryAfter time.Duration, format string, route *route) *refusal {
	return &refusal{http.StatusServiceUnavailable, fmt.Sprintf(format, route.ServiceName), retryAfter}
}

// refuseFull is for a request that found neither room in an instance nor in the queue.
func refuseFull(route *route) *refusal {
	return &refusal{http.StatusTooManyRequests, fmt.Sprintf("The service %s has as many requests as its instances take, and as many wait as may. Try again in a moment. "+
		"With a higher MaxSize or MaxConcurrency it takes more.", route.ServiceName), retryNotReady}
}

// refuseBusy is for a request that has waited for room for too long.
func refuseBusy(route *route) *refusal {
	return unavailable(retryNotReady, "All instances of the service %s have been busy for too long. Try again in a moment. With a higher MaxSize or MaxConcurrency it takes more.", route)
}

// refuseAsleep is for a request that has waited in vain for the first instance of a service at zero.
func refuseAsleep(route *route) *refusal {
	return unavailable(retryStarting, "The service %s has not started in time. Try again in a moment; `apron service %[1]s` and `apron logs %[1]s` may tell why.", route)
}

// mayHaveActed ends what is said of a request that an instance has had.
const mayHaveActed = "The request may have had an effect."

func refuseBroken(route *route) *refusal {
	return &refusal{status: http.StatusBadGateway, message: fmt.Sprintf("The service %s gave no valid answer: it closed the connection, or sent what is not HTTP. "+
		"`apron logs %[1]s` tells whether it crashed, and `apron logs %[1]s --access` what was seen of it. %s", route.ServiceName, mayHaveActed)}
}

// refuseHTTP2 is refuseBroken for an app whose protocol nobody has told.
func refuseHTTP2(route *route) *refusal {
	return &refusal{status: http.StatusBadGateway, message: fmt.Sprintf("The service %s speaks HTTP/2 alone, as gRPC does, and was asked in HTTP/1.1. Give it the %s.", route.ServiceName, needsH2C)}
}

func refuseLate(route *route, limits timeouts, isIdle bool) *refusal {
	what, limit, tag := "did not answer within", limits.total, platform.TagRequestTimeout
	if isIdle {
		what, limit, tag = "sent nothing for", limits.idle, platform.TagIdleTimeout
	}
	return &refusal{status: http.StatusGatewayTimeout, message: fmt.Sprintf("The service %s %s %s. It has to be faster, or to have more time by the tag %s. %s",
		route.ServiceName, what, plainly(limit), tag, mayHaveActed)}
}

func refuseSlowBody(limits timeouts, isIdle bool) *refusal {
	what, limit, tag := "was not complete within", limits.total, platform.TagRequestTimeout
	if isIdle {
		what, limit, tag = "did not go on for", limits.idle, platform.TagIdleTimeout
	}
	return &refusal{status: http.StatusRequestTimeout, message: fmt.Sprintf("The body of the request %s %s. Send it faster; the service's tag %s gives more time.", what, plainly(limit), tag)}
}

// plainly is a time as the tags have it: 2m instead of 2m0s.
func plainly(d time.Duration) string {
	text := d.String()
	for _, unit := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, unit) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// refuseByRule is for a request that its service's rules do not let pass.
func refuseByRule(verdict rules.Verdict) *refusal {
	if verdict == rules.Foreign {
		return &refusal{status: http.StatusForbidden, message: "This service answers only clients at addresses that it allows, and yours is none of them."}
	}
	return &refusal{status: http.StatusForbidden, message: "This path is closed."}
}

func refuseUnclear() *refusal {
	return &refusal{status: http.StatusBadRequest, message: "The method, the path or the host of the request, or a header that says where it ends, is not well formed or says two things."}
}

func refuseBadBody() *refusal {
	return &refusal{status: http.StatusBadRequest, message: "The body of the request is not well formed."}
}

func refuseConnect() *refusal {
	return &refusal{status: http.StatusMethodNotAllowed, message: "CONNECT is not allowed here: this server is not a forward proxy."}
}

var page = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.Title}}</title>
<style>body{font:1.1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:20vh auto;padding:0 1rem}</style></head>
<body><h1>{{.Title}}</h1><p>{{.Message}}</p></body></html>
`))

// write answers with the refusal, in the form that the client likes best. hasUnreadBody says that the client may still
// be sending: its connection is closed after the answer.
func (f *refusal) write(w http.ResponseWriter, r *http.Request, hasUnreadBody bool) error {
	if isGRPC(r) {
		f.writeGRPC(w)
		return nil
	}
	header := w.Header()
	clear(header)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	if f.retryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int(f.retryAfter.Seconds())))
	}
	if f.status == http.StatusMethodNotAllowed {
		header.Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	}
	if hasUnreadBody && r.ProtoMajor == 1 {
		header.Set("Connection", "close")
	}
	kind, body := f.body(r.Header["Accept"])
	header.Set("Content-Type", kind)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(f.status)
	_, err := w.Write(body)
	return err
}

// body renders the refusal as a page for browsers, as plain text for who asks for that, and as JSON for all other programs.
func (f *refusal) body(accept []string) (kind string, body []byte) {
	title := http.StatusText(f.status)
	switch preferred(accept) {
	case "text/html":
		var text strings.Builder
		if err := page.Execute(&text, struct{ Title, Message string }{title, f.message}); err == nil {
			return "text/html; charset=utf-8", []byte(text.String())
		}
	case "application/json":
		if text, err := json.Marshal(map[string]any{"status": f.status, "error": title, "message": f.message}); err == nil {
			return "application/json", append(text, '\n')
		}
	}
	return "text/plain; charset=utf-8", []byte(f.message + "\n")
}
