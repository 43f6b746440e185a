package chaos

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// sampleEvery is how often a soak measures.
const sampleEvery = 5 * time.Second

// tolerance is how much a measure may grow over the measured time, by the line that fits its samples best: the larger of an
// absolute number and of a share of its mean. Or, for what fills up to a bound that operations.md states, the bound.
type tolerance struct {
	prefix          string
	absolute, share float64
	bound           float64
}

// operationsKept is how many operations of a service are kept, cacheBound what a build cache may have on a large disk, and accessBound what
// the access log may have, in MiB.
const (
	operationsKept = 1000
	cacheBound     = 50 << 10
	accessBound    = 100
)

// tolerances are by how the measures' names begin; the first that fits counts.
var tolerances = []tolerance{
	{prefix: "MiB of the build cache", bound: cacheBound},
	{prefix: "MiB of ", absolute: 12, share: 0.1}, // collections of garbage come and go
	{prefix: "goroutines of ", absolute: 15, share: 0.1},
	{prefix: "files of ", absolute: 10, share: 0.1},
	{prefix: "MiB on disk in access.log", bound: accessBound},
	{prefix: "MiB on disk in ", absolute: 20, share: 0.1}, // logs and pushed manifests, each to a bound of its own
	{prefix: "rows of operations", bound: 4 * operationsKept},
	{prefix: "rows of ", absolute: 4, share: 0.1}, // a revision for each operation that runs
}

// flatness is what became of one measure.
type flatness struct {
	name       string
	begin, end float64
	growth     float64
	most       float64
	isBound    bool
	isFlat     bool
}

// judgeSamples says of each measure how much it grew. It is pure.
func judgeSamples(s sampling) []flatness {
	var all []flatness
	for _, name := range slices.Sorted(maps.Keys(s.values)) {
		i := slices.IndexFunc(tolerances, func(t tolerance) bool { return strings.HasPrefix(name, t.prefix) })
		if i < 0 {
			continue
		}
		series, allowed := s.values[name], tolerances[i]
		fifth := max(1, len(series)/5)
		f := flatness{name: name, begin: mean(series[:fifth]), end: mean(series[len(series)-fifth:]), growth: growthOf(s.at, series)}
		f.most = max(allowed.absolute, allowed.share*mean(series))
		f.isFlat = f.growth <= f.most
		if allowed.bound > 0 {
			f.isBound, f.most, f.isFlat = true, allowed.bound, slices.Max(series) <= allowed.bound
		}
		all = append(all, f)
	}
	return all
}

// growthOf is the slope of the line with the least squares through the samples, times the time that they span.
func growthOf(at []time.Time, series []float64) float64 {
	seconds := make([]float64, len(at))
	for i := range at {
		seconds[i] = at[i].Sub(at[0]).Seconds()
	}
	meanX, meanY := mean(seconds), mean(series)
	var covariance, variance float64
	for i := range series {
		covariance += (seconds[i] - meanX) * (series[i] - meanY)
		variance += (seconds[i] - meanX) * (seconds[i] - meanX)
	}
	if variance == 0 {
		return 0
	}
	return covariance / variance * seconds[len(seconds)-1]
}

func mean(of []float64) float64 {
	var sum float64
	for _, each := range of {
		sum += each
	}
	return sum / math.Max(1, float64(len(of)))
}

// table prints what became of the measures.
func table(all []flatness) string {
	var text strings.Builder
	fmt.Fprintf(&text, "\n%-34s %10s %10s %10s %14s\n", "measure", "begin", "end", "growth", "tolerated")
	for _, each := range all {
		most, verdict := fmt.Sprintf("%.1f", each.most), ""
		if each.isBound {
			most = fmt.Sprintf("%.0f at most", each.most)
		}
		if !each.isFlat {
			verdict = "  TOO MUCH"
		}
		fmt.Fprintf(&text, "%-34s %10.1f %10.1f %+10.1f %14s%s\n", each.name, each.begin, each.end, each.growth, most, verdict)
	}
	return text.String()
}

// soak works until the time is over, measures after the warm-up, and fails the test for what was wrong or grew.
func soak(t *testing.T, seed uint64, lasting time.Duration) {
	w := newWorld(t)
	w.fill()
	begun := time.Now()
	var samples sampling
	var total summary
	nextSample := begun.Add(lasting / 5) // until then it warms up
	for number := 1; time.Since(begun) < lasting; number++ {
		r := w.run(number, soakMenu.draw(seed, number, len(w.slots)))
		t.Log(r)
		total.add(r)
		if len(r.faults) > 0 {
			t.Fatalf("round %d of the seed %d is at fault", number, seed)
		}
		if time.Now().Before(nextSample) {
			continue
		}
		nextSample = time.Now().Add(sampleEvery)
		if err := w.sample(t.Context(), &samples); err != nil {
			t.Fatal(err)
		}
	}
	t.Log(total)
	all := judgeSamples(samples)
	t.Logf("%d samples over %s, after a warm-up of %s%s", len(samples.at), (lasting * 4 / 5).Round(time.Second), (lasting / 5).Round(time.Second), table(all))
	if slices.ContainsFunc(all, func(f flatness) bool { return !f.isFlat }) {
		t.Error("something grew")
	}
}

// revisionsKept is how many revisions of a service are kept.
const revisionsKept = 10

// fill deploys so often that the history of every service is full.
func (w *world) fill() {
	for range revisionsKept + 1 {
		ids := map[*slot]string{}
		for _, s := range w.slots {
			w.prepare(s, goodVariant, 0)
			ids[s] = s.service.Deploy(w.t)
		}
		for s, id := range ids {
			s.service.WantOperation(w.t, id, "SUCCEEDED")
			s.serving = ""
		}
	}
	for _, s := range w.slots {
		s.load.Take()
	}
}
