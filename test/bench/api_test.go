package bench

import (
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apprunner"

	"github.com/apron-run/apron/internal/store/sqlite/sqlitetest"
	"github.com/apron-run/apron/test/apron"
	"github.com/apron-run/apron/test/sample"
)

const (
	connections = 16
	// apiRuns is how often each of these is measured; the median counts.
	apiRuns  = 5
	apiLasts = 4 * time.Second
)

// BenchmarkAPI asks a real apron, whose server has one processor, while the requests come from another. It fills the
// database beside it, because rows by way of the API would take hours.
func BenchmarkAPI(b *testing.B) {
	b.Setenv("GOMAXPROCS", "1")
	a := apron.Start(b)
	push(b, a, "bench:live", sample.Image(b, sample.Variant{Version: "bench", Port: 8080}))
	service := a.MustCreate(b, imageService())
	pauseService(b, a, service)
	pin(b, a.PID())
	id, database := path.Base(service.ARN), filepath.Join(a.Data, "apron.db")

	fill := func(what func() error) {
		if err := what(); err != nil {
			b.Fatal(err)
		}
	}
	fill(func() error { return sqlitetest.CopyService(b.Context(), database, id, 1, 999) })
	rows := measureDescribe(b, a)
	fill(func() error { return sqlitetest.CopyOperation(b.Context(), database, id, 100_000) })
	rows = append(rows, measureOperations(b, a, service.ARN))
	fill(func() error { return sqlitetest.CopyService(b.Context(), database, id, 1_000, 9_999) })
	rows = append(rows, measureWalks(b, a)...)
	rows = append(rows, measureTags(b, a, service.ARN)) // last, because copies would have the tags too
	printTable(apiRuns, rows)
}

// pauseService pauses a service, so that nothing but the API has work.
func pauseService(b *testing.B, a *apron.Apron, service *apron.Service) {
	b.Helper()
	output, err := a.SDK().PauseService(b.Context(), &apprunner.PauseServiceInput{ServiceArn: &service.ARN})
	if err != nil {
		b.Fatal(err)
	}
	service.WantOperation(b, aws.ToString(output.OperationId), "SUCCEEDED")
}

func measureDescribe(b *testing.B, a *apron.Apron) []row {
	b.Helper()
	var rates, costs []float64
	var halves []time.Duration
	for range apiRuns {
		var requests [][]byte
		for _, arn := range servicesOf(b, a) {
			requests = append(requests, sign(b, a, "DescribeService", fmt.Sprintf(`{"ServiceArn":%q}`, arn)))
		}
		before := processorTime(b, a.PID())
		rate, err := throughput(a, connections, apiLasts, requests)
		if err != nil {
			b.Fatal(err)
		}
		cost := (processorTime(b, a.PID()) - before).Seconds() / (rate * apiLasts.Seconds())
		all, err := latencies(a, connections, 5_000, apiLasts, requests)
		if err != nil {
			b.Fatal(err)
		}
		rates, costs, halves = append(rates, rate), append(costs, cost), append(halves, percentile(all, 99))
	}
	slices.Sort(rates)
	slices.Sort(costs)
	return []row{
		{"DescribeService, signed, one processor, 1,000 services", perSecond(rates[len(rates)/2]), "10,000/s"},
		{"  for each second of processor time, whoever else uses the processor", perSecond(1 / costs[len(costs)/2]), "10,000/s"},
		{"  p99 at 5,000/s", milliseconds(median(halves)), "5 ms"},
	}
}

// servicesOf lists the ARNs of all services.
func servicesOf(b *testing.B, a *apron.Apron) []string {
	b.Helper()
	output, err := a.SDK().ListServices(b.Context(), &apprunner.ListServicesInput{})
	if err != nil {
		b.Fatal(err)
	}
	arns := make([]string, len(output.ServiceSummaryList))
	for i, service := range output.ServiceSummaryList {
		arns[i] = aws.ToString(service.ServiceArn)
	}
	return arns
}

// measureTags lets writers change tags of one service, each its own, and looks whether all changes are there.
func measureTags(b *testing.B, a *apron.Apron, arn string) row {
	b.Helper()
	const writers, keys, writes = 16, 3, 300
	var rates []float64
	for run := range apiRuns {
		var requests [writers][][]byte
		want := map[string]string{}
		for writer := range writers {
			for n := range writes {
				key, value := fmt.Sprintf("writer-%d-%d", writer, n%keys), fmt.Sprintf("%d-%d", run, n)
				want[key] = value
				requests[writer] = append(requests[writer],
					sign(b, a, "TagResource", fmt.Sprintf(`{"ResourceArn":%q,"Tags":[{"Key":%q,"Value":%q}]}`, arn, key, value)))
			}
		}
		begun := time.Now()
		err := together(a, writers, func(number int, w *wire) error {
			for _, request := range requests[number] {
				if _, err := w.ask(request); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		rates = append(rates, writers*writes/time.Since(begun).Seconds())
		output, err := a.SDK().ListTagsForResource(b.Context(), &apprunner.ListTagsForResourceInput{ResourceArn: &arn})
		if err != nil {
			b.Fatal(err)
		}
		for _, tag := range output.Tags {
			if want[aws.ToString(tag.Key)] == aws.ToString(tag.Value) {
				delete(want, aws.ToString(tag.Key))
			}
		}
		if len(want) > 0 {
			b.Fatalf("changes of tags were lost: %v", want)
		}
	}
	slices.Sort(rates)
	return row{"TagResource of one service under 16 writers, none lost", perSecond(rates[len(rates)/2]), "1,000/s"}
}

func measureOperations(b *testing.B, a *apron.Apron, arn string) row {
	b.Helper()
	var took []time.Duration
	for range apiRuns {
		walk(b, a, "ListOperations", fmt.Sprintf(`"ServiceArn":%q,`, arn), 100, func(page time.Duration) { took = append(took, page) })
	}
	return row{"ListOperations, a page of 20 of 100,000", milliseconds(median(took)), "2 ms"}
}

// measureWalks compares the first pages of a list of 10,000 services with the last.
func measureWalks(b *testing.B, a *apron.Apron) []row {
	b.Helper()
	const part = 50
	var first, last []time.Duration
	for range apiRuns {
		var pages []time.Duration
		walk(b, a, "ListServices", "", 10_000, func(page time.Duration) { pages = append(pages, page) })
		first, last = append(first, pages[:part]...), append(last, pages[len(pages)-part:]...)
	}
	return []row{
		{"ListServices of 10,000, a page of 20: pages 1 to 50", milliseconds(median(first)), ""},
		{"  pages 451 to 500", milliseconds(median(last)), milliseconds(median(first))},
	}
}

// walk asks for up to so many pages of a list, and tells how long each took.
func walk(b *testing.B, a *apron.Apron, action, members string, pages int, told func(page time.Duration)) {
	b.Helper()
	w, err := dial(a.API)
	if err != nil {
		b.Fatal(err)
	}
	defer w.conn.Close()
	next := ""
	for range pages {
		request := sign(b, a, action, fmt.Sprintf(`{%s"MaxResults":20%s}`, members, next))
		begun := time.Now()
		body, err := w.ask(request)
		if err != nil {
			b.Fatal(err)
		}
		told(time.Since(begun))
		var read struct{ NextToken string }
		if err := json.Unmarshal(body, &read); err != nil {
			b.Fatal(err)
		}
		if read.NextToken == "" {
			return
		}
		next = fmt.Sprintf(`,"NextToken":%q`, read.NextToken)
	}
}

func percentile(all []time.Duration, percent int) time.Duration {
	return slices.Sorted(slices.Values(all))[len(all)*percent/100]
}

func perSecond(rate float64) string { return fmt.Sprintf("%.0f/s", rate) }
