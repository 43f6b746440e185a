package proxy

import (
	"strconv"
	"strings"
)

// preferred is which of the forms of the proxy's own answers a client likes best (RFC 9110, 12.5.1). Among equals what it names is
// better than what a star covers, and JSON better than the others: who accepts anything is a program.
func preferred(accept []string) string {
	best, bestQuality, bestRank := "application/json", 0.0, 0
	for _, form := range []string{"application/json", "text/html", "text/plain"} {
		quality, rank := qualityOf(accept, func(name string) int { return rankOf(name, form) })
		if quality > bestQuality || quality == bestQuality && quality > 0 && rank > bestRank {
			best, bestQuality, bestRank = form, quality, rank
		}
	}
	return best
}

// rankOf says how closely a media range means a form: 3 by its name, 2 by its family, 1 as anything, 0 not at all.
func rankOf(name, form string) int {
	family, _, _ := strings.Cut(form, "/")
	switch {
	case name == form, form == "application/json" && strings.HasSuffix(name, "+json"):
		return 3
	case name == family+"/*":
		return 2
	case name == "*/*", name == "*":
		return 1
	}
	return 0
}

// qualityOf returns the weight of the element of a list that fits best, and its rank; 0 when none fits. A weight that cannot be read
// is 1, as if it were not there.
func qualityOf(lists []string, rankOf func(name string) int) (quality float64, rank int) {
	for _, list := range lists {
		for element := range strings.SplitSeq(list, ",") {
			name, parameters, _ := strings.Cut(element, ";")
			its := rankOf(strings.ToLower(strings.Trim(name, " \t")))
			if its == 0 || its < rank {
				continue
			}
			weight := 1.0
			for parameter := range strings.SplitSeq(parameters, ";") {
				text, isWeight := strings.CutPrefix(strings.ToLower(strings.Trim(parameter, " \t")), "q=")
				if number, err := strconv.ParseFloat(text, 64); isWeight && err == nil && number >= 0 && number <= 1 {
					weight = number
				}
			}
			if its == rank {
				weight = max(weight, quality)
			}
			quality, rank = weight, its
		}
	}
	return quality, rank
}
