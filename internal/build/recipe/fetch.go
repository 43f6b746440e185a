package recipe

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// maxFetchBytes bounds one download.
	maxFetchBytes = 512 << 20
	fetchTries    = 3
)

// fetch downloads into memory, with a few tries.
func (c *Cache) fetch(ctx context.Context, address string) ([]byte, error) {
	var data bytes.Buffer
	err := c.retry(ctx, func() error {
		data.Reset()
		return c.download(ctx, address, &data)
	})
	return data.Bytes(), err
}

// fetchFile downloads into a file, with a few tries.
func (c *Cache) fetchFile(ctx context.Context, address, file string) error {
	if path, ok := strings.CutPrefix(address, "file://"); ok {
		source, err := os.Open(path)
		if err != nil {
			return err
		}
		defer source.Close()
		return c.writeStream(file, func(w io.Writer) error { _, err := io.Copy(w, source); return err })
	}
	return c.retry(ctx, func() error {
		return c.writeStream(file, func(w io.Writer) error { return c.download(ctx, address, w) })
	})
}

func (c *Cache) retry(ctx context.Context, try func() error) error {
	var err error
	for i := range fetchTries {
		var refused *refusedError
		if err = try(); err == nil || errors.As(err, &refused) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second << i):
		}
	}
	return err
}

// refusedError is an answer that another try would not change.
type refusedError struct {
	host, status string
	// code is the answer's HTTP status.
	code int
}

func (e *refusedError) Error() string { return e.host + " answered " + e.status }

func (c *Cache) download(ctx context.Context, address string, w io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return errors.New("the registry's address is not a URL") // it may carry a password, so it is not shown
	}
	response, err := c.http.Do(request)
	if err != nil {
		var failure *url.Error
		if errors.As(err, &failure) {
			err = failure.Err // without the URL
		}
		return fmt.Errorf("%s: %w", request.URL.Hostname(), err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		if response.StatusCode >= 500 || response.StatusCode == http.StatusTooManyRequests {
			return fmt.Errorf("%s answered %s", request.URL.Hostname(), response.Status)
		}
		return &refusedError{request.URL.Hostname(), response.Status, response.StatusCode}
	}
	copied, err := io.Copy(w, io.LimitReader(response.Body, maxFetchBytes+1))
	if err == nil && copied > maxFetchBytes {
		return &refusedError{request.URL.Hostname(), fmt.Sprintf("with more than %d MB", maxFetchBytes>>20), response.StatusCode}
	}
	return err
}

// isLocal says whether a slash-separated name stays below the folder it is joined to.
func isLocal(name string) bool { return filepath.IsLocal(filepath.FromSlash(name)) }

// randomName returns a short random name for a temporary file.
func randomName() string { return rand.Text()[:12] }
