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
	"github.com/apron-run/apron/internal/progress"
)

// answer is what a service said to a GET of its root.
type answer struct {
	Status string
	// Text is the first line of the body, shortened.
	Text string
}

const (
	askTimeout    = 30 * time.Second
	askEvery      = 50 * time.Millisecond
	maxAnswerRead = 4 << 10
	maxAnswerText = 200
)

// ask asks the service, again and again while it has no ready instance: those of an apron that was down start with it.
// Names below localhost are this machine's, whether or not its resolver knows that.
func (s *shell) ask(ctx context.Context, address string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, hostport string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(hostport)
			if err == nil && (host == "localhost" || strings.HasSuffix(host, ".localhost")) {
				hostport = net.JoinHostPort("127.0.0.1", port)
			}
			return (&net.Dialer{}).DialContext(ctx, network, hostport)
		},
		DisableKeepAlives: true,
	}}
	steps, begun := progress.NewSteps(s.err), time.Now()
	defer steps.Done()
	var last answer // what it said while it was not ready
	for {
		said, isReady, err := askOnce(ctx, client, address)
		switch {
		case err == nil && isReady, err == nil && ctx.Err() != nil:
			return said, nil
		case err == nil:
			last = said
		case last.Status != "":
			return last, nil
		default:
			return answer{}, advise("It may be reached elsewhere; see `apron doctor`.", "the service does not answer at %s: %w", address, err)
		}
		steps.Waiting("waiting for its answer", begun, time.Now())
		select {
		case <-ctx.Done():
			return last, nil
		case <-time.After(askEvery):
		}
	}
}

func askOnce(ctx context.Context, client *http.Client, address string) (said answer, isReady bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/", nil)
	if err != nil {
		return answer{}, false, err
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{}, false, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerRead))
	if err != nil && len(body) == 0 {
		return answer{}, false, err
	}
	text, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	if runes := []rune(view.Clean(text)); len(runes) > maxAnswerText {
		text = string(runes[:maxAnswerText]) + "…"
	}
	return answer{Status: response.Status, Text: view.Clean(text)}, response.StatusCode != http.StatusServiceUnavailable, nil
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
