package proxy

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apron-run/apron/internal/platform"
)

// chooser chooses an instance with room; nil when there is none.
type chooser func(r *route) *instance

// choosers are those that docs/decisions/choice-of-instance.md compares.
var choosers map[string]chooser

func init() {
	choosers = map[string]chooser{
		"random": func(r *route) *instance {
			first := rand.IntN(len(r.instances))
			for i := range r.instances {
				if in := r.instances[(first+i)%len(r.instances)]; r.load(in) < full {
					return in
				}
			}
			return nil
		},
		"least": func(r *route) *instance {
			var best *instance
			bestLoad := int64(full)
			first := rand.IntN(len(r.instances))
			for i := range r.instances {
				in := r.instances[(first+i)%len(r.instances)]
				if load := r.load(in); load < bestLoad {
					best, bestLoad = in, load
				}
			}
			return best
		},
		"two": func(r *route) *instance {
			one, other := r.instances[rand.IntN(len(r.instances))], r.instances[rand.IntN(len(r.instances))]
			if r.load(other) < r.load(one) {
				one = other
			}
			if r.load(one) < full {
				return one
			}
			return choosers["least"](r)
		},
		"ours": func(r *route) *instance { return r.choose(nil) },
	}
}

// job is one request of the simulation: what it came at, and the work of its instance at which it is done.
type job struct{ came, doneAt float64 }

// processor is an instance of one processor that its requests share. Its work is the processor's time that each of them has had.
type processor struct {
	in   *instance
	work float64
	jobs jobs
}

type jobs []job

func (j jobs) Len() int           { return len(j) }
func (j jobs) Less(a, b int) bool { return j[a].doneAt < j[b].doneAt }
func (j jobs) Swap(a, b int)      { j[a], j[b] = j[b], j[a] }
func (j *jobs) Push(one any)      { *j = append(*j, one.(job)) }
func (j *jobs) Pop() any {
	last := len(*j) - 1
	one := (*j)[last]
	*j = (*j)[:last]
	return one
}

// simulate sends requests to instances at random times and returns the mean and the 99th percentile of how long they took, queue
// included, in mean times of service. Each needs a time of service that is exponentially distributed; load is the part of the
// instances' processors that they use all in all.
func simulate(choose chooser, instances, limit int, load float64, requests int) (mean, p99 float64) {
	p := New(Config{})
	p.SetRoutes([]platform.Route{serving(limit, 0, instances)})
	r := p.routes["service"]
	processors := map[*instance]*processor{}
	var all []*processor
	for _, in := range r.instances {
		one := &processor{in: in}
		processors[in], all = one, append(all, one)
	}
	random := rand.New(rand.NewPCG(1, 2))
	var waiting []float64
	var took []float64
	now, next := 0.0, 0.0
	for arrived := 0; len(took) < requests; {
		end, ending := math.Inf(1), (*processor)(nil)
		for _, each := range all {
			if len(each.jobs) > 0 {
				if at := now + (each.jobs[0].doneAt-each.work)*float64(len(each.jobs)); at < end {
					end, ending = at, each
				}
			}
		}
		at := min(next, end)
		if arrived >= requests {
			at = end
		}
		for _, each := range all {
			if len(each.jobs) > 0 {
				each.work += (at - now) / float64(len(each.jobs))
			}
		}
		now = at
		if at == end {
			took = append(took, now-heap.Pop(&ending.jobs).(job).came)
			ending.in.inFlight.Add(-1)
		} else {
			arrived++
			waiting = append(waiting, now)
			next = now + random.ExpFloat64()/(load*float64(instances))
		}
		for len(waiting) > 0 {
			in := choose(r)
			if in == nil {
				break
			}
			in.inFlight.Add(1)
			one := processors[in]
			heap.Push(&one.jobs, job{waiting[0], one.work + random.ExpFloat64()})
			waiting = waiting[1:]
		}
	}
	slices.Sort(took)
	for _, each := range took {
		mean += each / float64(requests)
	}
	return mean, took[requests*99/100]
}

func TestTheChoiceIsNearlyTheBest(t *testing.T) {
	for _, instances := range []int{2, 10, 100} {
		for _, load := range []float64{0.6, 0.9} {
			means := map[string]float64{}
			for _, name := range []string{"random", "two", "least", "ours"} {
				mean, p99 := simulate(choosers[name], instances, 20, load, 40_000)
				means[name] = mean
				t.Logf("%3d instances, load %.1f, %-6s mean %5.2f, p99 %6.2f", instances, load, name, mean, p99)
			}
			if means["ours"] > 1.4*means["least"] {
				t.Errorf("%d instances with load %.1f: %+v", instances, load, means)
			}
		}
	}
}

// BenchmarkChoose measures a choice with its claim and release, while each instance has a request already.
func BenchmarkChoose(b *testing.B) {
	for _, instances := range []int{1, 3, 10, 30, 100} {
		for _, name := range []string{"random", "two", "least", "ours"} {
			b.Run(fmt.Sprintf("%s/%d", name, instances), func(b *testing.B) {
				p := New(Config{})
				p.SetRoutes([]platform.Route{serving(100, 0, instances)})
				r, choose := p.routes["service"], choosers[name]
				for _, in := range r.instances {
					in.tryClaim(0)
				}
				for b.Loop() {
					in := choose(r)
					in.tryClaim(100)
					p.release(in)
				}
			})
		}
	}
}
