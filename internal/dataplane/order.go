package dataplane

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"time"
)

// socketKey is where the context of an order has the socket's path, for the dialer.
type socketKey struct{}

// newHTTP returns an HTTP client for orders. It keeps no connections: one would lead to the same data plane after that was set aside,
// and another one has its path.
func newHTTP() *http.Client {
	dialer := &net.Dialer{}
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", ctx.Value(socketKey{}).(string))
		},
		DisableKeepAlives: true,
	}}
}

// refusedError is the answer of a data plane that does not do what it was told.
type refusedError struct{ message string }

func (e *refusedError) Error() string { return e.message }

// order sends one order to the socket and reads its answer.
func order(ctx context.Context, client *http.Client, socket, method, path string, message, answer any) error {
	var body io.Reader
	if message != nil {
		content, err := json.Marshal(message)
		if err != nil {
			return err
		}
		body = bytes.NewReader(content)
	}
	ctx = context.WithValue(ctx, socketKey{}, socket)
	request, err := http.NewRequestWithContext(ctx, method, "http://"+filepath.Base(socket)+path, body)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 512))
		return &refusedError{fmt.Sprintf("%s %s: %s: %s", method, path, response.Status, bytes.TrimSpace(text))}
	}
	if answer == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxMessageBytes)).Decode(answer); err != nil {
		return errors.Join(fmt.Errorf("%s %s: read the answer", method, path), err)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
