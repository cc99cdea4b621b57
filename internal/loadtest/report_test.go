package loadtest_test

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// row is a line of a table: one figure of ours, perhaps beside the peer's of the same runs.
type row struct {
	name, unit string
	goal       float64 // 0 for none
	issue      float64 // the peer's figure where the goal was set; the goal is scaled by what it is here. 0: not scaled
	atLeast    bool    // larger is better

	ours, peer []sample // of each round
	note       string
}

// good gives the figures that count, and the first fault of the others.
func good(all []sample) (values []float64, fault string) {
	for _, s := range all {
		if s.fault == "" {
			values = append(values, s.value)
		} else if fault == "" {
			fault = s.fault
		}
	}
	return values, fault
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// ratio is the median of the rounds' own ratios: what else ran then met both.
func (r *row) ratio() (float64, bool) {
	var ratios []float64
	for i := range min(len(r.ours), len(r.peer)) {
		if r.ours[i].fault == "" && r.peer[i].fault == "" && r.peer[i].value > 0 {
			ratios = append(ratios, r.ours[i].value/r.peer[i].value)
		}
	}
	return median(ratios), len(ratios) > 0
}

// bound is the goal on this machine.
func (r *row) bound() float64 {
	peer, _ := good(r.peer)
	if r.issue == 0 {
		return r.goal
	}
	return r.goal * median(peer) / r.issue
}

// judge says in words whether the goal is met.
func (r *row) judge() string {
	values, fault := good(r.ours)
	if fault != "" || len(values) == 0 {
		return "**does not count: " + fault + "**"
	}
	ratio, paired := r.ratio()
	var met bool
	switch mine := median(values); {
	case r.goal == 0:
		return ""
	case r.issue > 0 && paired:
		met = ratio <= r.goal/r.issue
	case r.issue > 0:
		return "no peer here"
	case r.atLeast:
		met = mine >= r.goal
	default:
		met = mine <= r.goal
	}
	if met {
		return "met"
	}
	return "**missed**"
}

func (r *row) cells() []string {
	ours, _ := good(r.ours)
	mine, peer, ratio, goal := number(median(ours)), "", "", ""
	if len(ours) > 1 {
		mine += fmt.Sprintf(" (%s to %s)", number(slices.Min(ours)), number(slices.Max(ours)))
	}
	if len(ours) == 0 {
		mine = "-"
	}
	if values, fault := good(r.peer); len(values) > 0 {
		peer = number(median(values))
	} else if fault != "" {
		peer = fault
	}
	if x, ok := r.ratio(); ok {
		ratio = number(x)
	}
	if r.goal != 0 {
		sign := "<= "
		if r.atLeast {
			sign = ">= "
		}
		goal = sign + number(r.bound())
	}
	name := r.name
	if r.note != "" {
		name += " (" + r.note + ")"
	}
	return []string{name, r.unit, mine, peer, ratio, goal, r.judge()}
}

// number writes three digits that count.
func number(v float64) string {
	switch a := max(v, -v); {
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1 || a == 0:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// section is one part of the page.
type section struct {
	part, title, method string
	rows                []*row
}

// text is the section in Markdown; loads are the machine's while it was measured.
func (s *section) text(loads []float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n%s\n\n", s.title, s.method)
	fmt.Fprintf(&b, "Measured %s; load of the machine %s (%s to %s).\n\n", time.Now().UTC().Format("2006-01-02 15:04 UTC"),
		number(median(loads)), number(slices.Min(loads)), number(slices.Max(loads)))
	b.WriteString("| | | fieldgate | mosquitto | ratio | goal here | |\n|---|---|---|---|---|---|---|\n")
	var missed []string
	for _, r := range s.rows {
		cells := r.cells()
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
		if strings.HasPrefix(cells[6], "**") {
			missed = append(missed, r.name)
		}
	}
	if len(missed) > 0 {
		fmt.Fprintf(&b, "\nMissed: %s.\n", strings.Join(missed, "; "))
	}
	return b.String()
}

const pageHead = `# Performance

Written by ` + "`make bench`" + ` (all parts, about 10 minutes) or ` + "`make bench PART=broker`" + ` (one of them). %s.

How: each broker runs in a process and an empty folder of its own; the load comes from another process. Rounds alternate
between fieldgate and Debian's mosquitto, and each figure is the median of the rounds with the smallest and the largest; a ratio is
the median of the rounds' own ratios. CPU is user and system time of the whole broker process (/proc/PID/stat). Publishers wait: of QoS 0
at most a window of messages is on its way, of QoS 1 and 2 so many are unacknowledged, so nobody has to drop anything. Each message
carries its publisher and number. **A run with a lost, doubled or reordered message does not count**, and says so. Where a goal was set
beside a figure of mosquitto on another machine it is scaled by what mosquitto costs here, in the same rounds. Load above the
number of cores means that others worked on the machine; times (not CPU) suffer then.
`

// writePage puts the section in its place on the page and leaves the others as they are.
func writePage(t testing.TB, file string, s *section, loads []float64) {
	t.Helper()
	old, err := os.ReadFile(file)
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	page := fmt.Sprintf(pageHead, machine())
	for _, part := range append(parts(), part{name: "idle"}) {
		begin, end := fmt.Sprintf("<!-- part %s -->\n", part.name), fmt.Sprintf("<!-- end %s -->\n", part.name)
		body := s.text(loads)
		if part.name != s.part {
			_, rest, found := strings.Cut(string(old), begin)
			if body, _, _ = strings.Cut(rest, end); !found {
				continue
			}
		}
		page += "\n" + begin + body + end
	}
	require.NoError(t, os.WriteFile(file, []byte(page), 0o644))
}

// machine names the machine in a line.
func machine() string {
	grep := func(file, pattern string) string {
		raw, _ := os.ReadFile(file)
		if m := regexp.MustCompile(pattern).FindSubmatch(raw); m != nil {
			return strings.TrimSpace(string(m[1]))
		}
		return "?"
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	memory := grep("/proc/meminfo", `MemTotal:\s+(\d+)`)
	return fmt.Sprintf("Machine: %s, %d cores, %s MB, Linux %s, %s", grep("/proc/cpuinfo", `model name\s*:(.*)`),
		runtime.NumCPU(), memory[:max(0, len(memory)-3)], strings.TrimSpace(string(kernel)), runtime.Version())
}

// loadAverage is the machine's of the last minute.
func loadAverage() (v float64) {
	raw, _ := os.ReadFile("/proc/loadavg")
	_, _ = fmt.Sscan(string(raw), &v)
	return v
}
