package loadtest_test

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// scenario gives a sample for each of its rows.
type scenario struct {
	rows []*row
	run  func(testing.TB, *server) []sample
	ours bool // without the peer
}

func cpu(name string, goal, issue float64) *row {
	return &row{name: name, unit: "CPU s per million", goal: goal, issue: issue}
}

func one(r *row, run func(testing.TB, *server) []sample) scenario {
	return scenario{rows: []*row{r}, run: run}
}

// brokerTable is the table of issue 4.
func brokerTable() []scenario {
	return []scenario{
		one(cpu("50 to 1, QoS 0, 64 B", 0.30, 3.04), fanIn),
		one(cpu("1 to 100, QoS 0, 64 B", 0.18, 2.31), fanOut),
		one(cpu("10 to 10, QoS 0, 64 B", 0.30, 3.98), pairs(0, 64, 500)),
		one(cpu("10 to 10, QoS 0, 1 KiB", 0.70, 4.49), pairs(0, 1024, 200)),
		one(cpu("10 to 10, QoS 1, window 20", 1.10, 7.22), pairs(1, 64, 20)),
		one(cpu("10 to 10, QoS 1, window 100", 0.70, 7.56), pairs(1, 64, 100)),
		one(cpu("10 to 10, QoS 2, window 100", 1.10, 15.7), pairs(2, 64, 100)),
		{ours: true, rows: []*row{{name: "10 to 10, QoS 0: CPU over 5.0 against 3.1.1", unit: "x", goal: 1.15}}, run: newer(0, 500)},
		{ours: true, rows: []*row{{name: "10 to 10, QoS 1, window 100: CPU over 5.0 against 3.1.1", unit: "x", goal: 1.15}}, run: newer(1, 100)},
		one(cpu("1,000 messages/s, each alone, QoS 1", 30, 25), alone),
		one(cpu("connect and disconnect", 30, 16.1), churn),
		{rows: []*row{
			cpu("100,000 filters, one matches", 0.8, 7.1),
			cpu("100,000 filters, none matches, QoS 1", 0.7, 5.1),
		}, run: filters},
		one(&row{name: "50,000 retained, `#` to the last", unit: "ms", goal: 100, issue: 238}, retained),
		{rows: []*row{
			cpu("offline queue, 256 B, every acknowledgement durable (mosquitto's are not)", 3.5, 4.2),
			cpu("drain of the same", 2.5, 1.5),
			cpu("both", 6, 5.7),
			{name: "acknowledged while queuing", unit: "1/s", goal: 80_000, atLeast: true},
			{name: "bytes to disk, queued and drained", unit: "B/message"},
		}, run: offline},
	}
}

// bench is what runs under make bench.
type bench struct {
	t      *testing.T
	rounds int
	page   string // file that the sections are written to
}

// play runs the scenarios, round by round and broker by broker, and writes the section.
func (b *bench) play(s *section, scenarios []scenario) {
	var loads []float64
	only := os.Getenv("BENCH_ROW")
	for _, c := range scenarios {
		if !strings.Contains(c.rows[0].name, only) {
			continue
		}
		s.rows = append(s.rows, c.rows...)
		for round := range b.rounds {
			loads = append(loads, loadAverage())
			kinds := []kind{fieldgate, mosquitto}
			if round%2 == 1 {
				kinds = []kind{mosquitto, fieldgate}
			}
			for _, k := range kinds {
				if k.program() == "" || c.ours && k == mosquitto {
					continue
				}
				b.one(c, k)
			}
		}
		for _, r := range c.rows {
			b.t.Log(strings.Join(r.cells(), " | "))
		}
	}
	if only == "" {
		writePage(b.t, b.page, s, loads)
	}
}

func (b *bench) one(c scenario, k kind) {
	broker := launch(b.t, k, nil)
	defer broker.stop()
	for i, one := range c.run(b.t, broker) {
		if k == fieldgate {
			c.rows[i].ours = append(c.rows[i].ours, one)
		} else {
			c.rows[i].peer = append(c.rows[i].peer, one)
		}
	}
}

// TestBench measures what `make bench` asks for and writes it to the page that BENCH_PAGE names. Any other run
// of the tests skips it. BENCH_PART names the parts, BENCH_ROUNDS says how often the brokers take turns, BENCH_ROW
// picks rows by a part of their names and writes no page.
func TestBench(t *testing.T) {
	b := &bench{t: t, page: os.Getenv("BENCH_PAGE"), rounds: 3}
	if b.page == "" {
		t.Skip("make bench runs it")
	}
	require.NotEmpty(t, fieldgate.program(), "FIELDGATE names the binary")
	if n, err := strconv.Atoi(os.Getenv("BENCH_ROUNDS")); err == nil && n > 0 {
		b.rounds = n
	}
	only := os.Getenv("BENCH_PART")
	wanted := func(part string) bool {
		return only == "" || slices.Contains(strings.FieldsFunc(only, func(r rune) bool { return r == ',' || r == ' ' }), part)
	}
	var idle *idleWatch
	if wanted("idle") {
		idle = watchIdle(t) // idle as long as all the rest takes
	}
	for _, p := range parts() {
		if wanted(p.name) {
			t.Run(p.name, func(t *testing.T) { p.run(&bench{t, b.rounds, b.page}) })
		}
	}
	if idle != nil {
		s := &section{part: "idle", title: "Idleness", method: "A broker that ran beside everything above, with a client that has a persistent session and is silent."}
		s.rows = []*row{idle.end()}
		writePage(t, b.page, s, []float64{loadAverage()})
	}
}

// part is a section of the page.
type part struct {
	name string
	run  func(b *bench)
}

func parts() []part {
	return []part{
		{"broker", func(b *bench) {
			b.play(&section{part: "broker", title: "The broker beside mosquitto", method: "Server CPU seconds per million delivered messages (per million queued in the offline rows, per million connections for connect and disconnect)."}, brokerTable())
		}},
		{"durable", func(b *bench) {
			b.play(&section{part: "durable", title: "What was acknowledged is safe", method: "Publishers send to a session that is away; right after the last acknowledgement the broker is killed (SIGKILL), started again and drained."}, append(durableTable(), b.slow()...))
		}},
		{"spool", func(b *bench) {
			s := &section{part: "spool", title: "The spool", method: "The floor, SQLite alone and the spool take turns, each behind each of the others as often, so all meet the same disk; a commit lasts from the call to its last callback. Bytes are those of /proc/self/io."}
			b.runAll(s, spoolBenches())
		}},
		{"elision", func(b *bench) {
			b.play(&section{part: "elision", title: "What is never written", method: "Messages that all subscribers acknowledge in time need no disk."}, elisionTable())
		}},
		{"memory", func(b *bench) {
			evict(b.t, fieldgate.program(), mosquitto.program())
			(&bench{b.t, 1, b.page}).play(&section{part: "memory", title: "Memory", method: "RSS of the process, 12 s after its start and after the last connection. The programs come from the disk, as after a boot: of a file that was just written the system maps larger pieces."}, memoryTable())
		}},
		{"hot", func(b *bench) {
			s := &section{part: "hot", title: "Checks, codec, abusers", method: "Benchmarks inside the packages. The abusers (slow reader, flooders, malformed sender, connect storm, half-open) run in a process of the lowest priority on the same machine."}
			b.runAll(s, hotBenches())
		}},
		{"bridges", func(b *bench) {
			s := &section{part: "bridges", title: "Field bridges", method: "Against the theory T = (13 + 2n) characters + 2 silences (3.5 characters, 1.75 ms above 19200 baud), on a simulated line that keeps the bit rate and runs in a process of its own; four units are asked as often as it allows."}
			b.runAll(s, bridgeBenches())
		}},
	}
}
