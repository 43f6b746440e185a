package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// grpcStatus is how a gRPC call ended.
type grpcStatus int

// Those that the proxy gives itself.
const (
	grpcUnknown           grpcStatus = 2
	grpcDeadlineExceeded  grpcStatus = 4
	grpcPermissionDenied  grpcStatus = 7
	grpcResourceExhausted grpcStatus = 8
	grpcUnimplemented     grpcStatus = 12
	grpcInternal          grpcStatus = 13
	grpcUnavailable       grpcStatus = 14
)

// grpcStatusOf is what a status of HTTP means for a call.
func grpcStatusOf(status int) grpcStatus {
	switch status {
	case http.StatusBadRequest:
		return grpcInternal
	case http.StatusForbidden:
		return grpcPermissionDenied
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return grpcUnimplemented
	case http.StatusTooManyRequests:
		return grpcResourceExhausted
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return grpcUnavailable
	case http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return grpcDeadlineExceeded
	}
	return grpcUnknown
}

// isGRPC says whether a request is a call of gRPC, whose clients look for a status of its own in every answer. gRPC-Web is another
// protocol.
func isGRPC(r *http.Request) bool {
	rest, isCall := strings.CutPrefix(r.Header.Get("Content-Type"), "application/grpc")
	return isCall && r.ProtoMajor >= 2 && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// writeGRPC answers a call with the refusal, in the form without a body, which has the status among its headers.
func (f *refusal) writeGRPC(w http.ResponseWriter) {
	header := w.Header()
	clear(header)
	header.Set("Content-Type", "application/grpc")
	header.Set("Grpc-Status", strconv.Itoa(int(grpcStatusOf(f.status))))
	header.Set("Grpc-Message", grpcMessage(f.message))
	w.WriteHeader(http.StatusOK)
}

// endCall ends the answer to a call that the instance has not ended, and returns false when it was no call.
func (x *exchange) endCall(ctx context.Context) bool {
	if !isGRPC(x.r) || errors.Is(context.Cause(ctx), context.Canceled) { // the client is gone
		return false
	}
	status, message := grpcUnavailable, "The service broke off before it had answered."
	if ctx.Err() != nil {
		status, message = grpcDeadlineExceeded, "The call took too long."
	}
	header := x.w.Header()
	header[http.TrailerPrefix+"Grpc-Status"] = []string{strconv.Itoa(int(status))}
	header[http.TrailerPrefix+"Grpc-Message"] = []string{grpcMessage(message)}
	return true
}

// grpcMessage is a text as a header of gRPC holds it.
func grpcMessage(text string) string {
	var escaped strings.Builder
	for _, b := range []byte(text) {
		if b < ' ' || b > '~' || b == '%' {
			fmt.Fprintf(&escaped, "%%%02X", b)
		} else {
			escaped.WriteByte(b)
		}
	}
	return escaped.String()
}
