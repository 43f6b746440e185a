package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/apron-run/apron/test/load/steady"
)

// reference is what the ratios are to.
const reference = "haproxy"

// printSmall prints a row for each proxy.
func (b *bench) printSmall(output io.Writer, slowest int) {
	table := tabwriter.NewWriter(output, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "\nPROXY\tCPU\tµs/REQUEST\tREQUESTS/S")
	shares := shares
	if slowest == 0 {
		shares = nil // was not measured
	}
	for _, share := range shares {
		fmt.Fprintf(table, "\tAT %d/S: p50/p99/p99.9 ms, CPU", slowest*share/100)
	}
	fmt.Fprintf(table, "\tIDLE\tWEBSOCKET\tNOT 200\tLOG\n")
	for _, each := range b.kinds {
		r := b.results[each.name]
		failed := 0
		for _, s := range slices.Concat(r.peaks, r.steady[30], r.steady[60], r.steady[90]) {
			failed += s.failed
		}
		fmt.Fprintf(table, "%s\t%s\t%.1f\t%.0f", each.name, b.ratio(each.name, peaksOf), microseconds(median(costs(r.peaks))), median(perSeconds(r.peaks)))
		for _, share := range shares {
			at := func(r *result) []sample { return r.steady[share] }
			fmt.Fprintf(table, "\t%s, %s", latencies(r.steady[share]), b.ratio(each.name, at))
		}
		fmt.Fprintf(table, "\t%s\t%s\t%d\t%s\n", kilobytes(r.perIdle), kilobytes(r.perTunnel), failed, map[bool]string{true: "on", false: "NONE"}[r.isLogging])
	}
	_ = table.Flush()
}

func peaksOf(r *result) []sample { return r.peaks }

// ratio is the median of each round's ratio of the CPU per request to that of the reference.
func (b *bench) ratio(name string, of func(*result) []sample) string {
	to := b.results[reference]
	if to == nil || len(of(to)) == 0 {
		return "-"
	}
	var ratios []float64
	for i, s := range of(b.results[name]) {
		ratios = append(ratios, float64(s.perRequest)/float64(of(to)[i].perRequest))
	}
	return fmt.Sprintf("%.2fx", median(ratios))
}

// latencies are the medians of the rounds' quantiles.
func latencies(rounds []sample) string {
	if len(rounds) == 0 {
		return "-"
	}
	quantile := func(q float64) float64 {
		var all []time.Duration
		for _, each := range rounds {
			all = append(all, each.latency.Quantile(q))
		}
		return milliseconds(median(all))
	}
	return fmt.Sprintf("%.2f/%.2f/%.2f", quantile(0.5), quantile(0.99), quantile(0.999))
}

func (b *bench) printBodies(output io.Writer) {
	table := tabwriter.NewWriter(output, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "\n1 GB BODY\tDOWN\tCPU\tPEAK MEMORY\tUP\tCPU\tPEAK MEMORY\n")
	for _, each := range b.kinds {
		r := b.results[each.name]
		fmt.Fprintf(table, "  %s", each.name)
		for _, rounds := range [][]transfer{r.down, r.up} {
			var took, cpu []time.Duration
			var peak []int
			for _, t := range rounds {
				took, cpu, peak = append(took, t.took), append(cpu, t.cpu), append(peak, t.peak)
			}
			fmt.Fprintf(table, "\t%.2f s\t%.2f s\t%d MB", median(took).Seconds(), median(cpu).Seconds(), median(peak)/1_000_000)
		}
		fmt.Fprintln(table)
	}
	_ = table.Flush()
}

func printRoutes(output io.Writer, routings []routing) {
	table := tabwriter.NewWriter(output, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "\nROUTES OF APRON\tµs/REQUEST\tA SWITCH, MEDIAN\tp99\tOTHERS p99.9, SLOWEST\tDURING SWITCHES\tNOT 200\n")
	for _, r := range routings {
		var switches steady.Histogram
		for _, each := range r.switched {
			switches.Add(each)
		}
		fmt.Fprintf(table, "  %d\t%.1f\t%.2f ms\t%.2f ms\t%s\t%s\t%d\n", r.routes, microseconds(median(r.perRequest)),
			milliseconds(switches.Quantile(0.5)), milliseconds(switches.Quantile(0.99)), pauses(r.calm), pauses(r.during), r.failed)
	}
	_ = table.Flush()
}

// pauses are the medians of the rounds' slow answers.
func pauses(rounds []*steady.Histogram) string {
	var late, slowest []time.Duration
	for _, each := range rounds {
		late, slowest = append(late, each.Quantile(0.999)), append(slowest, each.Max())
	}
	return fmt.Sprintf("%.2f ms, %.2f ms", milliseconds(median(late)), milliseconds(median(slowest)))
}

func perSeconds(samples []sample) (all []float64) {
	for _, each := range samples {
		all = append(all, each.perSecond)
	}
	return all
}

func costs(samples []sample) (all []time.Duration) {
	for _, each := range samples {
		all = append(all, each.perRequest)
	}
	return all
}

// kilobytes is - for what was not measured.
func kilobytes(bytes float64) string {
	if bytes == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f KB", bytes/1000)
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
