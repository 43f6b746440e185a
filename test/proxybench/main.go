// Command proxybench measures apron's data plane beside the distribution's nginx, HAProxy and Caddy: `make bench-proxy`.
//
// All have the same app behind them and the same settings. They run one at a time, in turn, in several rounds that begin
// with another one each, so that whatever else the machine does meets all of them; the medians of the rounds count. docs/proxy-benchmark.md
// says how to read what is printed.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func init() {
	// Children end with the thread that has started them, and this one lives as long as the process.
	runtime.LockOSThread()
}

func main() {
	beOrigin()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	rounds := flag.Int("rounds", 5, "how often each proxy has its turn")
	seconds := flag.Int("seconds", 3, "how long each measurement takes")
	only := flag.String("only", "", "the proxies, with commas between; empty for all")
	parts := flag.String("parts", "all", "what is measured: small, idle, bodies, routes, with commas between")
	out := flag.String("out", "", "a file that gets the tables too")
	flag.Parse()
	err := measure(ctx, &bench{rounds: *rounds, during: time.Duration(*seconds) * time.Second}, *only, *parts, *out)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// originVariable in the environment has this program be the app.
const originVariable = "APRON_BENCH_ORIGIN"

// beOrigin does not return when this process was started as the app.
func beOrigin() {
	if os.Getenv(originVariable) == "" {
		return
	}
	if err := origin(2); err != nil {
		fmt.Fprintln(os.Stderr, "the app:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// bench is one run.
type bench struct {
	ctx    context.Context
	dir    string
	rounds int
	during time.Duration
	kinds  []kind
	origin addresses
	// results are by the proxies' names.
	results map[string]*result
	number  int
}

// result is all that is known of a proxy. Lists have an element for each round.
type result struct {
	peaks []sample
	// steady are by the percentage of the load.
	steady             map[int][]sample
	perIdle, perTunnel float64
	down, up           []transfer
	isLogging          bool
}

func measure(ctx context.Context, b *bench, only, parts, out string) error {
	b.ctx, b.results = ctx, map[string]*result{}
	for _, each := range kinds {
		if only == "" || slices.Contains(strings.Split(only, ","), each.name) {
			b.kinds = append(b.kinds, each)
			b.results[each.name] = &result{steady: map[int][]sample{}}
		}
	}
	var err error
	if b.dir, err = os.MkdirTemp("/tmp", "pb"); err != nil { // short, for the path of a Unix socket
		return err
	}
	defer os.RemoveAll(b.dir)
	stopOrigin, err := b.startOrigin()
	if err != nil {
		return err
	}
	defer stopOrigin()
	var output io.Writer = os.Stdout
	if out != "" {
		file, err := os.Create(out)
		if err != nil {
			return err
		}
		defer file.Close()
		output = io.MultiWriter(output, file)
	}
	return b.measure(output, func(part string) bool {
		return parts == "all" || slices.Contains(strings.Split(parts, ","), part)
	})
}

func (b *bench) measure(output io.Writer, includes func(part string) bool) error {
	rate := 0
	if includes("small") {
		var err error
		if rate, err = b.measureSmall(); err != nil {
			return err
		}
	}
	if includes("idle") {
		if err := b.measureIdle(); err != nil {
			return err
		}
	}
	if includes("small") || includes("idle") {
		b.printSmall(output, rate)
	}
	if includes("bodies") {
		if err := b.measureBodies(); err != nil {
			return err
		}
		b.printBodies(output)
	}
	if includes("routes") {
		routings, err := b.measureRoutes(max(rate*60/100, 2000))
		if err != nil {
			return err
		}
		printRoutes(output, routings)
	}
	return nil
}

// note tells what is going on.
func (b *bench) note(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "# "+format+"\n", arguments...)
}

// turn is the order of the proxies in a round.
func (b *bench) turn(round int) []kind {
	first := round % len(b.kinds)
	return slices.Concat(b.kinds[first:], b.kinds[:first])
}

// newDir makes a folder for one start of a proxy.
func (b *bench) newDir(name string) (string, error) {
	b.number++
	dir := filepath.Join(b.dir, fmt.Sprintf("%d-%s", b.number, name))
	return dir, os.Mkdir(dir, 0o755)
}

// with runs a proxy before the app's instances, warm.
func (b *bench) with(each kind, limit int, do func(*proxy) error) error {
	return b.withOrigins(each, b.origin.Instances, limit, func(p *proxy) error {
		isLogging, err := p.warm(b.ctx)
		if err != nil {
			return err
		}
		b.results[each.name].isLogging = isLogging
		return do(p)
	})
}

func (b *bench) withOrigins(each kind, to []string, limit int, do func(*proxy) error) error {
	if err := b.ctx.Err(); err != nil {
		return err
	}
	dir, err := b.newDir(each.name)
	if err != nil {
		return err
	}
	p, err := each.start(dir, to, limit)
	if err != nil {
		return err
	}
	defer p.stop()
	return do(p)
}

// startOrigin runs this program as the app.
func (b *bench) startOrigin() (stop func(), err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	child := exec.Command(program)
	child.Env, child.Stderr = append(os.Environ(), originVariable+"=1"), os.Stderr
	input, err := child.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := child.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := child.Start(); err != nil {
		return nil, err
	}
	stop = func() { input.Close(); _ = child.Wait() }
	if err := json.NewDecoder(output).Decode(&b.origin); err != nil {
		stop()
		return nil, fmt.Errorf("start the app: %w", err)
	}
	return stop, nil
}

// shares are the loads at which latency is measured, in percent of the slowest peak.
var shares = []int{30, 60, 90}

// measureSmall measures each proxy's peak, and then each at shares of the slowest one's, which is returned.
func (b *bench) measureSmall() (slowest int, err error) {
	for round := range b.rounds {
		for _, each := range b.turn(round) {
			err := b.with(each, perInstance, func(p *proxy) error {
				peak, err := p.peak(b.ctx, b.during)
				into := b.results[each.name]
				into.peaks = append(into.peaks, peak)
				b.note("round %d: %s %.1f µs a request, %.0f a second %s", round+1, each.name, microseconds(peak.perRequest), peak.perSecond, peak.problems)
				return err
			})
			if err != nil {
				return 0, err
			}
		}
	}
	for _, each := range b.kinds {
		peak := int(median(perSeconds(b.results[each.name].peaks)))
		if slowest == 0 || peak < slowest {
			slowest = peak
		}
	}
	for round := range b.rounds {
		for _, each := range b.turn(round) {
			b.note("round %d: %s at a constant rate", round+1, each.name)
			err := b.with(each, perInstance, func(p *proxy) error {
				for _, share := range shares {
					s, err := p.at(b.ctx, slowest*share/100, b.during, request(host))
					if err != nil {
						return err
					}
					into := b.results[each.name]
					into.steady[share] = append(into.steady[share], s)
				}
				return nil
			})
			if err != nil {
				return 0, err
			}
		}
	}
	return slowest, nil
}
