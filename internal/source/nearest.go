package source

import (
	"cmp"
	"slices"
)

// Nearest returns at most limit of the names that exist, those most like the wanted one first; equals are in
// alphabetical order. It is for sentences that say what there is instead of what was asked for.
func Nearest(wanted string, existing []string, limit int) []string {
	type candidate struct {
		name     string
		distance int
	}
	candidates := make([]candidate, len(existing))
	for i, name := range existing {
		candidates[i] = candidate{name, distance(wanted, name)}
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.name, b.name))
	})
	var nearest []string
	for _, c := range candidates[:min(limit, len(candidates))] {
		nearest = append(nearest, c.name)
	}
	return nearest
}

// distance is the number of letters to insert, remove or replace (Levenshtein's). Very long names count by their
// beginnings only.
func distance(a, b string) int {
	const longest = 100
	a, b = a[:min(len(a), longest)], b[:min(len(b), longest)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
