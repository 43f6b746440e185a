package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/apron-run/apron/test/load/steady"
)

func TestMain(m *testing.M) {
	beOrigin()
	m.Run()
}

func TestEachProxyHasARowThatBeginsWithItsNameAndHoldsItsRatio(t *testing.T) {
	b := &bench{kinds: kinds, results: map[string]*result{}}
	for i, each := range kinds {
		var latency steady.Histogram
		latency.Add(time.Millisecond)
		r := &result{steady: map[int][]sample{}, perIdle: 1000}
		for round := range 3 { // the machine is slower in each round, for all of them
			s := sample{perRequest: time.Duration((i+2)*(round+1)) * 10 * time.Microsecond, perSecond: 1000, latency: &latency}
			r.peaks = append(r.peaks, s)
			for _, share := range shares {
				r.steady[share] = append(r.steady[share], s)
			}
		}
		b.results[each.name] = r
	}
	var output strings.Builder
	b.printSmall(&output, 1000)
	for i, each := range kinds {
		want := map[int]string{0: "1.00x", 1: "1.50x", 2: "2.00x", 3: "2.50x"}[i]
		rows := regexp.MustCompile(`(?m)^`+each.name+`\b.*$`).FindAllString(output.String(), -1)
		if len(rows) != 1 || strings.Fields(rows[0])[1] != want {
			t.Errorf("%s has the rows %q, want one with %s", each.name, rows, want)
		}
	}
}

func TestApronServesAsItIsMeasured(t *testing.T) {
	b := &bench{ctx: t.Context(), dir: t.TempDir(), rounds: 1, during: time.Second, results: map[string]*result{"apron": {}}}
	stop, err := b.startOrigin()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	err = b.with(kind{"apron", startApron}, perInstance, func(p *proxy) error {
		s, err := p.at(b.ctx, 500, b.during, request(host))
		if err != nil {
			return fmt.Errorf("%w; it says:\n%s", err, p.tail())
		}
		if s.failed > 0 || s.latency.Count() < 50 {
			t.Errorf("%d answers, %d failed: %s", s.latency.Count(), s.failed, s.problems)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
