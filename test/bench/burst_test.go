package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"
)

const (
	// A burst goes from what one instance is there for to burstFactor times that, as in Knative's own gate.
	burstConcurrency, burstFactor = 10, 30
	burstFor                      = 10 * time.Second
)

// BenchmarkBurst measures what clients see who come all at once: each asks for what takes 100 ms, again and again.
func BenchmarkBurst(b *testing.B) {
	a := startTraffic(b)
	made, err := a.SDK().CreateAutoScalingConfiguration(b.Context(), &apprunner.CreateAutoScalingConfigurationInput{
		AutoScalingConfigurationName: aws.String("burst"), MinSize: aws.Int32(1), MaxSize: aws.Int32(burstFactor), MaxConcurrency: aws.Int32(burstConcurrency),
	})
	if err != nil {
		b.Fatal(err)
	}
	input := imageService()
	input.AutoScalingConfigurationArn = made.AutoScalingConfiguration.AutoScalingConfigurationArn
	service := a.MustCreate(b, input)
	clients := &crowd{client: a.Client(), url: "http://" + service.URL + "/slow?for=100ms"}
	clients.client.Transport.(*http.Transport).MaxIdleConnsPerHost = burstConcurrency * burstFactor
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	clients.add(ctx, burstConcurrency)
	time.Sleep(5 * time.Second)
	calm := clients.take()
	for range burstFactor - 1 { // within a second
		clients.add(ctx, burstConcurrency)
		time.Sleep(time.Second / burstFactor)
	}
	time.Sleep(burstFor)
	size := len(service.Instances(b))
	cancel()
	clients.wait.Wait()
	burst := clients.take()
	printTable(1, []row{
		{"before the burst: median, slowest", milliseconds(median(calm.took)) + ", " + milliseconds(slices.Max(calm.took)), ""},
		{fmt.Sprintf("a burst to %d times as many clients: errors", burstFactor), fmt.Sprintf("%d of %d %s", burst.failed, len(burst.took)+burst.failed, burst.problem), "0"},
		{"  slowest", milliseconds(slices.Max(burst.took)), "2000 ms"},
		{"  median, p95", milliseconds(median(burst.took)) + ", " + milliseconds(quantile(burst.took, 0.95)), ""},
		{"  instances at the end", fmt.Sprint(size), ""},
	})
}

const (
	// uploadClients send uploads bodies to one instance: more than an address has ports for connections (some 28,000).
	uploadClients, uploads = 40, 60_000
)

// BenchmarkUploads measures what clients see who send bodies, each of which has a connection of its own to the instance.
func BenchmarkUploads(b *testing.B) {
	a := startTraffic(b)
	service := a.MustCreate(b, imageService())
	clients := &crowd{client: a.Client(), url: "http://" + service.URL + "/sum", body: "body"}
	clients.client.Transport.(*http.Transport).MaxIdleConnsPerHost = uploadClients
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	begun := time.Now()
	clients.add(ctx, uploadClients)
	for sent := 0; sent < uploads; sent = clients.sent() {
		time.Sleep(10 * time.Millisecond)
	}
	took := time.Since(begun)
	cancel()
	clients.wait.Wait()
	seen := clients.take()
	printTable(1, []row{
		{"uploads to one instance: errors", fmt.Sprintf("%d of %d %s", seen.failed, len(seen.took)+seen.failed, seen.problem), "0"},
		{"  a second", fmt.Sprintf("%.0f", float64(uploads)/took.Seconds()), ""},
		{"  median, slowest", milliseconds(median(seen.took)) + ", " + milliseconds(slices.Max(seen.took)), ""},
	})
}

// crowd is clients that each ask again as soon as they have an answer.
type crowd struct {
	client *http.Client
	url    string
	body   string // sent by POST; empty for GET
	wait   sync.WaitGroup

	mu   sync.Mutex // guards seen
	seen seen
}

// seen is what clients have seen.
type seen struct {
	took    []time.Duration
	failed  int
	problem string
}

func (c *crowd) add(ctx context.Context, clients int) {
	for range clients {
		c.wait.Go(func() {
			for ctx.Err() == nil {
				c.ask()
			}
		})
	}
}

func (c *crowd) ask() {
	begun := time.Now()
	method := http.MethodGet
	if c.body != "" {
		method = http.MethodPost
	}
	request, err := http.NewRequest(method, c.url, strings.NewReader(c.body))
	if err != nil {
		panic(err) // the URL is a service's
	}
	response, err := c.client.Do(request)
	if err == nil {
		var body []byte
		body, err = io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %.200s", response.Status, body)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.seen.failed, c.seen.problem = c.seen.failed+1, err.Error()
		return
	}
	c.seen.took = append(c.seen.took, time.Since(begun))
}

func (c *crowd) sent() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.seen.took) + c.seen.failed
}

func (c *crowd) take() seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.seen
	c.seen = seen{}
	return taken
}
