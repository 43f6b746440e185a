package autoscale

import (
	"fmt"
	"strings"
	"time"
)

// recorder remembers the sizes that a scaler decides.
type recorder struct {
	scaler
	at    []time.Duration
	sizes []int
}

func (r *recorder) tell(now time.Duration, isShort bool, s *simulation) (int, time.Duration) {
	size, next := r.scaler.tell(now, isShort, s)
	if len(r.sizes) == 0 || size != r.sizes[len(r.sizes)-1] {
		r.at, r.sizes = append(r.at, now), append(r.sizes, size)
	}
	return size, next
}

// chart draws the sizes of both autoscalers in a part of a scenario, and what the requests need on average.
func chart(each scenario, from, until time.Duration) string {
	const width, height, left, bottom, top = 800, 300, 40, 30, 20
	each.length = until
	a, k := &recorder{scaler: &ours{}}, &recorder{scaler: newKnative()}
	most := max(simulate(each, a, simulationSeed).mostSize, simulate(each, k, simulationSeed).mostSize)
	x := func(at time.Duration) float64 {
		return left + (width-left)*(max(at, from)-from).Seconds()/(until-from).Seconds()
	}
	y := func(size float64) float64 { return height - bottom - (height-bottom-top)*size/float64(most) }
	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&svg, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	for size := 0; size <= most; size += 20 {
		fmt.Fprintf(&svg, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="4" y="%.1f">%d</text>`+"\n", left, y(float64(size)), width, y(float64(size))+4, size)
	}
	for at := from; at < until; at += time.Minute {
		fmt.Fprintf(&svg, `<text x="%.1f" y="%d">%d min</text>`+"\n", x(at), height-8, int((at - from).Minutes()))
	}
	line := func(name, color string, legend int, at []time.Duration, sizes []float64) {
		fmt.Fprintf(&svg, `<path d="M%d %.1f`, left, y(sizes[0]))
		for i := range at {
			fmt.Fprintf(&svg, "H%.1fV%.1f", x(at[i]), y(sizes[i]))
		}
		fmt.Fprintf(&svg, `H%d" fill="none" stroke="%s" stroke-width="2"/><text x="%d" y="14" fill="%s">%s</text>`+"\n", width, color, legend, color, name)
	}
	var needAt []time.Duration
	var need []float64
	for at := from; at < until; at += time.Second {
		needAt, need = append(needAt, at), append(need, each.trace.rate(at)*.2/float64(each.policy.MaxConcurrency))
	}
	line("needed", "#888", 60, needAt, need)
	for i, r := range []*recorder{a, k} {
		sizes := make([]float64, len(r.sizes))
		for j, size := range r.sizes {
			sizes[j] = float64(size)
		}
		line([]string{"apron", "Knative"}[i], []string{"#0a58ca", "#d9730d"}[i], 140+80*i, r.at, sizes)
	}
	return svg.String() + "</svg>\n"
}
