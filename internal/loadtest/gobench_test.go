package loadtest_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"
)

// gobench is a benchmark of a package whose figures stand on the page.
type gobench struct {
	pkg, name, length string
	rows              []goRow
	count             int // runs; 0 for one
}

// goRow is a figure of a benchmark: the first whose name matches, in the unit.
type goRow struct {
	match, unit string
	row         row
}

// runAll runs benchmarks and fills rows.
func (b *bench) runAll(s *section, list []gobench) {
	loads := []float64{loadAverage()}
	for _, g := range list {
		figures := b.runOne(g)
		loads = append(loads, loadAverage())
		for i := range g.rows {
			want := &g.rows[i]
			right := regexp.MustCompile(want.match)
			for _, f := range figures {
				if f.unit == want.unit && right.MatchString(f.name) {
					want.row.ours = append(want.row.ours, sample{value: f.value})
				}
			}
			require.NotEmpty(b.t, want.row.ours, "%s gives no %s in %s", g.name, want.match, want.unit)
			if want.row.unit == "" {
				want.row.unit = want.unit
			}
			s.rows = append(s.rows, &want.row)
			b.t.Log(strings.Join(want.row.cells(), " | "))
		}
	}
	writePage(b.t, b.page, s, loads)
}

type figure struct {
	name, unit string
	value      float64
}

// runOne runs `go test -bench` and reads its lines.
func (b *bench) runOne(g gobench) (all []figure) {
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", g.name, "-benchtime", g.length, "-benchmem", "-count", strconv.Itoa(max(g.count, 1)), "./"+g.pkg)
	cmd.Dir = "../.."
	out, err := cmd.CombinedOutput()
	require.NoError(b.t, err, "%s", out)
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 4 || !strings.HasPrefix(words[0], "Benchmark") {
			continue
		}
		for i := 2; i+1 < len(words); i += 2 {
			f := figure{name: words[0], unit: words[i+1]}
			if _, err := fmt.Sscan(words[i], &f.value); err == nil {
				all = append(all, f)
			}
		}
	}
	return all
}

func spoolBenches() []gobench {
	commit := gobench{pkg: "storage", name: "^BenchmarkCommit$", length: "1s", count: 3}
	written := gobench{pkg: "storage", name: "^BenchmarkBytes$", length: "1500x"}
	for _, c := range []struct {
		batch int
		goal  float64
	}{{1, 0.6}, {10, 0.5}, {100, 0.45}} {
		match := fmt.Sprintf("batch=%d(-|$)", c.batch)
		commit.rows = append(commit.rows,
			goRow{match, "of-floor", row{name: fmt.Sprintf("speed of a commit of %d messages, fan-out 3, against a preallocated append and fdatasync", c.batch), unit: "of the floor", goal: c.goal, atLeast: true}},
			goRow{match, "spool-µs", row{name: fmt.Sprintf("the same: p50 of a commit of %d", c.batch), unit: "µs"}},
			goRow{match, "floor-µs", row{name: "its floor", unit: "µs"}},
			goRow{match, "sqlite-µs", row{name: "a transaction of SQLite alone that writes the same bytes as one row", unit: "µs"}})
	}
	for _, c := range []struct {
		batch, fan int
		goal       float64
	}{{1, 3, 10_240}, {1, 16, 10_240}, {10, 3, 0}, {10, 16, 0}, {100, 3, 0}} {
		match := fmt.Sprintf("batch=%d/fan=%d(-|$)", c.batch, c.fan)
		written.rows = append(written.rows,
			goRow{match, "B/commit", row{name: fmt.Sprintf("bytes to disk for a commit of %d, queued and drained, fan-out %d", c.batch, c.fan), goal: c.goal}},
			goRow{match, "B/commit-beside-payload", row{name: "of them beside the payload, which goes to the log and to the file", unit: "B/commit"}})
	}
	written.rows = append(written.rows, goRow{`batch=100/`, "B/message", row{name: "bytes to disk for a message of 256 B at batch 100", unit: "B/message", goal: 950}})
	return []gobench{commit, written}
}

func hotBenches() []gobench {
	return []gobench{
		{"broker/access", "^BenchmarkMay$", "200ms", []goRow{
			{"100_rules_cached", "ns/op", row{name: "an access check with 100 rules, remembered for the topic", goal: 100}},
			{"100_rules_cached", "allocs/op", row{name: "its allocations", unit: "1", goal: 0.5}},
		}, 3},
		{"broker/packet", "^BenchmarkPublish$", "200ms", []goRow{
			{"decode/3.1.1/qos0", "ns/op", row{name: "decode a PUBLISH of 3.1.1"}},
			{"decode/5.0/qos0", "ns/op", row{name: "decode a PUBLISH of 5.0 without properties"}},
			{"decode/5.0_with_properties/qos0", "ns/op", row{name: "decode a PUBLISH of 5.0 with content type and a user property"}},
		}, 3},
		{"broker/packet", "^BenchmarkPublishOf5AgainstOlder$", "300ms", []goRow{
			{"", "of-3.1.1", row{name: "decode a PUBLISH of 5.0 without properties, against 3.1.1 in turns", unit: "x", goal: 1.15}},
		}, 3},
		{"broker", "^BenchmarkAbuse$/^all$", "1x", []goRow{
			{"", "ms-p99-without", row{name: "p99 of a round trip of 1,000 clients", unit: "ms"}},
			{"", "ms-p99-with", row{name: "the same beside one abuser of each kind", unit: "ms"}},
			{"", "ratio", row{name: "ratio of the two", unit: "x", goal: 3}},
		}, 1},
	}
}

func bridgeBenches() []gobench {
	wire := gobench{pkg: "bridges/modbus", name: "^BenchmarkWire$", length: "2s"}
	for _, c := range []struct{ baud, goal int }{{9600, 97}, {19200, 96}, {115200, 85}} {
		for _, registers := range []int{10, 60} {
			match := fmt.Sprintf("baud=%d/registers=%d(-|$)", c.baud, registers)
			name := fmt.Sprintf("RTU at %d baud, %d registers a poll", c.baud, registers)
			wire.rows = append(wire.rows,
				goRow{match, "%bridge", row{name: name + ": use of the wire, losses of the bridge", unit: "% of theory", goal: float64(c.goal), atLeast: true}},
				goRow{match, "%wire", row{name: name + ": with those of the simulated line and slave", unit: "% of theory"}},
				goRow{match, "too-early", row{name: name + ": sent too early, collided", unit: "requests", goal: 0.5}},
				goRow{match, "%core", row{name: name + ": processor time of the bridge", unit: "% of a core"}})
		}
	}
	return []gobench{
		wire,
		{"bridges/modbus", "^BenchmarkReplug$", "100x", []goRow{{"", "p99-ms", row{name: "from replug to the first fresh value, p99", unit: "ms", goal: 500}}}, 1},
		{"bridges/modbus", "^BenchmarkWrite$", "100x", []goRow{{"", "p99-ms", row{name: "a write on a full bus at 19200 baud, p99 (a transaction lasts 21 ms)", unit: "ms", goal: 21 + 20}}}, 1},
		{"bridges/modbus", "^BenchmarkDamagedAnswer$", "100x", []goRow{{"", "p99-ms", row{name: "from a damaged answer to the next good value at 19200 baud, p99 (a transaction lasts 14.6 ms)", unit: "ms", goal: 14.6 + 50}}}, 1},
		{"bridges/modbus", "^BenchmarkDeadUnit$", "30x", []goRow{{"", "%bus", row{name: "a dead unit takes of a full bus, when its first timeouts are over", unit: "%", goal: 5}}}, 1},
		{"bridges/modbus", "^BenchmarkTenUnits$", "40x", []goRow{{"", "%rate", row{name: "ten units, one dead, one slow, one with holes: the slowest of the others gets of its polls", unit: "%", goal: 95, atLeast: true}}}, 1},
		{"bridges/modbus", "^BenchmarkTCP$", "1s", []goRow{
			{"outstanding=1", "points/s", row{name: "Modbus/TCP, points published, one request under way", goal: 20_000, atLeast: true}},
			{"outstanding=4", "points/s", row{name: "the same, four under way", goal: 20_000, atLeast: true}},
		}, 1},
		{"bridges/modbus", "^BenchmarkDecode$", "500ms", []goRow{
			{"", "values/s", row{name: "values decoded", goal: 200_000, atLeast: true}},
			{"", "allocs/op", row{name: "allocations of a decoded poll", unit: "1", goal: 0.5}},
		}, 3},
		{"bridges/line", "^BenchmarkStreams$", "500ms", []goRow{
			{"regex", "ns/op", row{name: "a second of 5 streams of 100 lines, by pattern: CPU time (none lost)", unit: "ns", goal: 1e9}},
			{"json", "ns/op", row{name: "the same in JSON", unit: "ns", goal: 1e9}},
		}, 3},
	}
}
