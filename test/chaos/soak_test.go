package chaos

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

func TestSoak(t *testing.T) {
	if os.Getenv("APRON_SOAK_MINUTES") == "" {
		t.Skip("make soak runs it for ten minutes")
	}
	soak(t, uint64(setting(t, "APRON_CHAOS_SEED", shortSeed)), time.Duration(setting(t, "APRON_SOAK_MINUTES", 10))*time.Minute)
}

func TestWhatGrowsIsTold(t *testing.T) {
	noise := rand.New(rand.NewPCG(1, 1))
	s := sampling{values: map[string][]float64{}}
	for i := range 100 {
		s.at = append(s.at, time.Unix(int64(5*i), 0))
		add := func(name string, value float64) { s.values[name] = append(s.values[name], value) }
		add("MiB of apron serve", 80+20*noise.Float64())                 // goes up and down
		add("MiB of apron proxy", 30+float64(i)/4+10*noise.Float64())    // leaks
		add("goroutines of apron serve", 60+float64(i)/2)                // leaks
		add("rows of operations", 10*float64(i))                         // fills up
		add("MiB of the build cache", 50000+float64(20*i))               // over its bound at the end
		add("files of containerd", map[bool]float64{true: 40}[i%2 == 0]) // comes and goes
	}
	want := map[string]bool{"MiB of apron serve": true, "rows of operations": true, "files of containerd": true}
	for _, each := range judgeSamples(s) {
		if each.isFlat != want[each.name] {
			t.Errorf("%+v", each)
		}
	}
}
