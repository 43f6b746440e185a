package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/apron-run/apron/cmd/apron/internal/view"
)

// answer is what a service said to a GET of its root.
type answer struct {
	Status string
	// Text is the first line of the body, shortened.
	Text string
}

const (
	askTimeout    = 10 * time.Second
	maxAnswerRead = 4 << 10
	maxAnswerText = 200
)

// ask asks the service once. Names below localhost are this machine's, whether or not its resolver knows that.
func ask(ctx context.Context, address string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/", nil)
	if err != nil {
		return answer{}, err
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, hostport string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(hostport)
			if err == nil && (host == "localhost" || strings.HasSuffix(host, ".localhost")) {
				hostport = net.JoinHostPort("127.0.0.1", port)
			}
			return (&net.Dialer{}).DialContext(ctx, network, hostport)
		},
		DisableKeepAlives: true,
	}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return answer{}, advise("It may be reached elsewhere; see `apron doctor`.", "the service does not answer at %s: %w", address, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerRead))
	if err != nil && len(body) == 0 {
		return answer{}, err
	}
	text, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if runes := []rune(view.Clean(text)); len(runes) > maxAnswerText {
		text = string(runes[:maxAnswerText]) + "…"
	}
	return answer{Status: response.Status, Text: view.Clean(text)}, nil
}

// plainSize turns every form that a size may have into the units that the API answers: 1024 CPU units, 2048 MiB.
func plainSize(text string) string {
	number, unit, _ := strings.Cut(text, " ")
	if unit == "" {
		return text
	}
	amount, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return text
	}
	return strconv.Itoa(int(amount * 1024))
}
