package yamlfile

import "strings"

// Nearest returns the known name that someone who wrote name most likely meant,
// or "" when none is close. Case, '-' and '_' do not count as differences; two
// letters exchanged, one missing, added or replaced count as one.
func Nearest(name string, known []string) string {
	plain := fold(name)
	// A third of a name may be wrong; a longer name does not excuse more than three slips.
	best, least := "", min(max(len(plain)/3, 1), 3)+1
	for _, candidate := range known {
		other := fold(candidate)
		if plain == "" || other == "" {
			continue
		}
		if d := distance(plain, other, least); d < least {
			best, least = candidate, d
		}
	}
	return best
}

func fold(name string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(name))
}

// distance is the number of single slips between a and b (optimal string
// alignment), or limit when it is that or more.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit)
}
