package bench

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/apron-run/apron/test/load/steady"
)

// rolloutRate is that of Knative's own gate.
const rolloutRate, rollouts = 1000, 3

// BenchmarkRollout measures what requests at a constant rate see of deployments.
func BenchmarkRollout(b *testing.B) {
	a := startTraffic(b)
	service := a.MustCreate(b, imageService())
	to := steady.Load{
		Address: netip.MustParseAddrPort(a.HTTP), Rate: rolloutRate, Conns: 64,
		Requests: [][]byte{[]byte("GET / HTTP/1.1\r\nHost: " + service.URL + "\r\n\r\n")},
	}
	var before, during steady.Histogram
	var p95s []time.Duration
	failed, problems := 0, map[string]int{}
	for range rollouts {
		calm := sendDuring(b, to, func() { time.Sleep(5 * time.Second) })
		rollout := sendDuring(b, to, func() {
			deploy(b, service)
			settle(b, service)
		})
		before.Merge(&calm.Latency)
		during.Merge(&rollout.Latency)
		p95s = append(p95s, rollout.Latency.Quantile(0.95)-calm.Latency.Quantile(0.95))
		failed += calm.Failed + rollout.Failed
		for each, n := range rollout.Problems {
			problems[each] += n
		}
	}
	printTable(rollouts, []row{
		{fmt.Sprintf("rollouts at %d requests a second: errors", rolloutRate), fmt.Sprintf("%d of %d %v", failed, during.Count()+failed, problems), "0"},
		{"  p95 added", milliseconds(median(p95s)), "5 ms"},
		{"  p95 before, during", milliseconds(before.Quantile(0.95)) + ", " + milliseconds(during.Quantile(0.95)), ""},
		{"  slowest before, during", milliseconds(before.Max()) + ", " + milliseconds(during.Max()), ""},
	})
}

func sendDuring(b *testing.B, load steady.Load, do func()) *steady.Result {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	type ended struct {
		result *steady.Result
		err    error
	}
	done := make(chan ended, 1)
	go func() {
		result, err := load.Run(ctx)
		done <- ended{result, err}
	}()
	do()
	cancel()
	end := <-done
	if end.err != nil {
		b.Fatal(end.err)
	}
	return end.result
}
