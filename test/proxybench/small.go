package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"github.com/apron-run/apron/test/load/steady"
)

const (
	// peakConns and steadyConns are how many connections the clients have.
	peakConns, steadyConns = 64, 64
	// warmUp is how long a proxy is asked before it is measured.
	warmUp = 500 * time.Millisecond
)

// sample is one measurement of a proxy under small requests.
type sample struct {
	// perRequest is the proxy's CPU time.
	perRequest time.Duration
	perSecond  float64
	failed     int
	problems   string
	latency    *steady.Histogram // nil for the peak
}

// request is a small request for the app.
func request(host string) []byte {
	return []byte("GET /hello HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
}

// peak has wrk ask as fast as it gets answers.
func (p *proxy) peak(ctx context.Context, during time.Duration) (sample, error) {
	before, err := p.cpu()
	if err != nil {
		return sample{}, err
	}
	output, err := exec.CommandContext(ctx, "wrk", "-t1", fmt.Sprintf("-c%d", peakConns), fmt.Sprintf("-d%ds", max(1, int(during.Seconds()))),
		"-H", "Host: "+host, "-H", "User-Agent: bench", "-H", "Accept: */*", "http://"+p.address.String()+"/hello").CombinedOutput()
	if err != nil {
		return sample{}, fmt.Errorf("wrk: %w\n%s", err, output)
	}
	after, err := p.cpu()
	if err != nil {
		return sample{}, err
	}
	answered := number(output, `(\d+) requests in`)
	if answered == 0 {
		return sample{}, fmt.Errorf("%s has answered nothing; wrk says:\n%s\nand the proxy:\n%s", p.name, output, p.tail())
	}
	s := sample{perRequest: time.Duration(float64(after-before) / answered), perSecond: number(output, `Requests/sec: +([\d.]+)`)}
	for _, kind := range []string{`Non-2xx or 3xx responses: (\d+)`, `connect (\d+)`, `read (\d+)`, `write (\d+)`, `timeout (\d+)`} {
		s.failed += int(number(output, kind))
	}
	if s.failed > 0 {
		s.problems = string(output)
	}
	return s, nil
}

// number is what the pattern's group has in wrk's output; 0 when it is not there.
func number(output []byte, pattern string) float64 {
	found := regexp.MustCompile(pattern).FindSubmatch(output)
	if found == nil {
		return 0
	}
	value, _ := strconv.ParseFloat(string(found[1]), 64)
	return value
}

// at has requests come at a rate.
func (p *proxy) at(ctx context.Context, rate int, during time.Duration, requests ...[]byte) (sample, error) {
	before, err := p.cpu()
	if err != nil {
		return sample{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, during)
	defer cancel()
	result, err := steady.Load{Address: p.address, Requests: requests, Rate: rate, Conns: steadyConns}.Run(ctx)
	if err != nil {
		return sample{}, err
	}
	after, err := p.cpu()
	if err != nil {
		return sample{}, err
	}
	return sample{
		perRequest: (after - before) / time.Duration(max(1, result.Due)), perSecond: float64(result.Due) / during.Seconds(),
		failed: result.Failed, problems: problems(result), latency: &result.Latency,
	}, nil
}

// warm asks the proxy for a moment, and says whether it writes a log of that.
func (p *proxy) warm(ctx context.Context) (isLogging bool, err error) {
	before := p.written()
	warm, err := p.at(ctx, 2000, warmUp, request(host))
	if err != nil {
		return false, err
	}
	if warm.failed > 0 {
		return false, fmt.Errorf("%s does not serve: %s; it says:\n%s", p.name, warm.problems, p.tail())
	}
	for deadline := time.Now().Add(3 * time.Second); p.written() == before && time.Now().Before(deadline); { // logs are buffered
		time.Sleep(50 * time.Millisecond)
	}
	return p.written() > before, nil
}
