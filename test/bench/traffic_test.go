package bench

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/apprunner"
	"github.com/aws/aws-sdk-go-v2/service/apprunner/types"

	"github.com/apron-run/apron/internal/platform"
	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

// What requests meet while instances are frozen, started, added and replaced. The cost of a request in peace is measured by
// `make bench-proxy`.

// frozenServices are asked in turn, frozenRuns times each.
const frozenServices, frozenRuns = 10, 20

// startTraffic runs an apron with the sample application's image.
func startTraffic(b *testing.B) *apron.Apron {
	b.Helper()
	a := apron.Start(b)
	push(b, a, "bench:live", sample.Image(b, sample.Variant{Version: "bench", Port: 8080}))
	return a
}

// withTags is imageService with tags, by pairs of key and value.
func withTags(name string, tags ...string) *apprunner.CreateServiceInput {
	input := imageService()
	input.ServiceName = &name
	for pair := range slices.Chunk(tags, 2) {
		input.Tags = append(input.Tags, types.Tag{Key: &pair[0], Value: &pair[1]})
	}
	return input
}

// createMany creates services, some at a time.
func createMany(b *testing.B, a *apron.Apron, n int, tags ...string) []*apron.Service {
	b.Helper()
	var services []*apron.Service
	for some := range slices.Chunk(make([]int, n), 8) {
		var operations []string
		for range some {
			service, operation := a.Create(b, withTags(fmt.Sprintf("bench-%d", len(services)), tags...))
			services, operations = append(services, service), append(operations, operation)
		}
		for i, operation := range operations {
			services[len(services)-len(some)+i].WantOperation(b, operation, "SUCCEEDED")
		}
	}
	return services
}

// firstAnswer is how long the service's next answer takes.
func firstAnswer(b *testing.B, client *http.Client, service *apron.Service) time.Duration {
	b.Helper()
	begun := time.Now()
	response, err := client.Get("http://" + service.URL + "/")
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusOK {
		b.Fatalf("the first request is answered with %s", response.Status)
	}
	return time.Since(begun)
}

// BenchmarkFrozen measures the first request to a frozen service, beside the second.
func BenchmarkFrozen(b *testing.B) {
	a := startTraffic(b)
	services := createMany(b, a, frozenServices, platform.TagFreezeAfter, "1s")
	client := a.Client()
	var first, second []time.Duration
	for range frozenRuns {
		awaitFrozen(b, a, len(services))
		for _, each := range services {
			first = append(first, firstAnswer(b, client, each))
			second = append(second, firstAnswer(b, client, each))
		}
	}
	added := func(q float64) string { return milliseconds(quantile(first, q) - quantile(second, q)) }
	printTable(len(first), []row{
		{"first request to a frozen service", milliseconds(median(first)), ""},
		{"  added to that of a warm one", added(0.5), "1 ms"},
		{"  added, p99", added(0.99), "5 ms"},
	})
}

// BenchmarkZero measures the first request to a service that was scaled to zero.
func BenchmarkZero(b *testing.B) {
	a := startTraffic(b)
	service := a.MustCreate(b, withTags("zero", platform.TagMinSize, "0", platform.TagScaleToZeroAfter, "1s", platform.TagFreezeAfter, "1s"))
	client := a.Client()
	var took []time.Duration
	for range runs {
		apron.Until(b, time.Minute, "the last instance's end", func() (bool, error) { return len(service.Instances(b)) == 0, nil })
		took = append(took, firstAnswer(b, client, service))
	}
	printTable(runs, []row{
		{"first request to a service at zero", milliseconds(median(took)), "250 ms"}, {"  slowest", milliseconds(slices.Max(took)), ""},
	})
}

// awaitFrozen waits until the processes of so many instances are frozen.
func awaitFrozen(b *testing.B, a *apron.Apron, instances int) {
	b.Helper()
	apron.Until(b, time.Minute, "instances to be frozen", func() (bool, error) {
		pids := a.ContainerProcesses()
		frozen := 0
		for _, pid := range pids {
			if isFrozen(pid) {
				frozen++
			}
		}
		return frozen >= instances, fmt.Errorf("%d of %d are", frozen, instances)
	})
}

// isFrozen asks the kernel, by the control group of version 1 or 2.
func isFrozen(pid int) bool {
	groups, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	for line := range strings.Lines(string(groups)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) < 3 {
			continue
		}
		switch fields[1] {
		case "freezer":
			state, _ := os.ReadFile(filepath.Join("/sys/fs/cgroup/freezer", fields[2], "freezer.state"))
			return string(bytes.TrimSpace(state)) == "FROZEN"
		case "":
			events, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", fields[2], "cgroup.events"))
			if err == nil && bytes.Contains(events, []byte("frozen 1")) {
				return true
			}
		}
	}
	return false
}

func quantile(all []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
