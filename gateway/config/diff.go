package config

import "slices"

const (
	diffContext = 2
	maxDiff     = 2000 // lines on either side that are compared; longer ones are shown whole
)

// diffLines shows what turns a into b: lines with "- " and "+ ", and with "  "
// those around them; "  ..." stands for those that are left out.
func diffLines(a, b []string) []string {
	start := 0
	for start < min(len(a), len(b)) && a[start] == b[start] {
		start++
	}
	end := 0
	for end < min(len(a), len(b))-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	var lines []string
	for _, l := range a[:start] {
		lines = append(lines, "  "+l)
	}
	lines = append(lines, diffMiddle(a[start:len(a)-end], b[start:len(b)-end])...)
	for _, l := range a[len(a)-end:] {
		lines = append(lines, "  "+l)
	}
	return fold(lines)
}

// diffMiddle is the classic longest common subsequence.
func diffMiddle(a, b []string) []string {
	var lines []string
	if len(a) > maxDiff || len(b) > maxDiff {
		for _, l := range a {
			lines = append(lines, "- "+l)
		}
		for _, l := range b {
			lines = append(lines, "+ "+l)
		}
		return lines
	}
	common := make([][]int16, len(a)+1) // length of the longest common subsequence of a[i:] and b[j:]
	for i := range common {
		common[i] = make([]int16, len(b)+1)
	}
	for i, x := range slices.Backward(a) {
		for j, y := range slices.Backward(b) {
			if x == y {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			lines = append(lines, "  "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			lines = append(lines, "- "+a[i])
			i++
		default:
			lines = append(lines, "+ "+b[j])
			j++
		}
	}
	return lines
}

// fold leaves out lines that are far from a difference.
func fold(lines []string) []string {
	keep := make([]bool, len(lines))
	for i, l := range lines {
		if l[0] != ' ' {
			for k := max(0, i-diffContext); k <= min(len(lines)-1, i+diffContext); k++ {
				keep[k] = true
			}
		}
	}
	var folded []string
	for i, l := range lines {
		switch {
		case keep[i]:
			folded = append(folded, l)
		case i == 0 || keep[i-1]:
			folded = append(folded, "  ...")
		}
	}
	return folded
}
