package template_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
	"fieldgate/bridges/all"
	"fieldgate/bridges/bridgestest"
	"fieldgate/bridges/sim"
	"fieldgate/bridges/template"
	"fieldgate/gateway"
	"fieldgate/internal/fault"
)

// set gives all templates, and the kinds that judge them.
func set(t testing.TB, dir string) (*template.Set, []bridges.Kind) {
	t.Helper()
	s := template.New(gateway.ReadTemplate, dir)
	kinds := all.Kinds(s)
	return s, kinds
}

// Each template that comes with the program is read through a real bus: Modbus over TCP
// and over a pseudo-terminal, lines over a pseudo-terminal. What the bridge publishes
// must be what the template's samples say, in engineering units.
func TestDevices_AreReadThroughABus(t *testing.T) {
	templates, _ := set(t, "")
	list := templates.List()
	require.GreaterOrEqual(t, len(list), 25)
	for i, d := range list {
		t.Run(d.ID, func(t *testing.T) {
			t.Parallel()
			if d.Kind == "line" {
				readThrough(t, d, ptyOfLines(t, d))
				return
			}
			device, err := sim.NewSample(d)
			require.NoError(t, err)
			units := map[byte]sim.Device{unitOf(t, d): device}
			if i%2 == 0 || d.Serial == nil {
				readThrough(t, d, tcpOf(t, units))
			} else {
				readThrough(t, d, ptyOf(t, units))
			}
		})
	}
}

func unitOf(t *testing.T, d *template.Template) byte {
	unit := 1
	if raw, ok := d.Device["unit"]; ok {
		require.NoError(t, json.Unmarshal(raw, &unit))
	}
	return byte(unit)
}

// run serves a simulation until the test's end.
func run(t *testing.T, serve func(context.Context)) {
	ctx, stop := context.WithCancel(context.Background())
	var server sync.WaitGroup
	server.Go(func() { serve(ctx) })
	t.Cleanup(func() {
		stop()
		server.Wait()
	})
}

func tcpOf(t *testing.T, units map[byte]sim.Device) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	run(t, func(ctx context.Context) { _ = sim.ServeTCP(ctx, ln, units) })
	return fmt.Sprintf(`{"tcp":{"address":%q}}`, ln.Addr())
}

func ptyOf(t *testing.T, units map[byte]sim.Device) string {
	pty, err := sim.NewPTY("")
	require.NoError(t, err)
	run(t, func(ctx context.Context) { _ = sim.ServeRTU(ctx, pty, units) })
	return fmt.Sprintf(`{"serial":{"port":%q}}`, pty.Path())
}

func ptyOfLines(t *testing.T, d *template.Template) string {
	pty, err := sim.NewPTY("")
	require.NoError(t, err)
	lines, asked := sim.Lines(d)
	run(t, func(ctx context.Context) {
		if asked {
			_ = sim.ServeAnswers(ctx, pty, '\n', lines)
			return
		}
		_ = sim.ServeLines(ctx, pty, lines, 20*time.Millisecond)
	})
	return fmt.Sprintf(`{"serial":{"port":%q}}`, pty.Path())
}

// readThrough runs a bridge with a device that has nothing but the template, until every point is good.
func readThrough(t *testing.T, d *template.Template, link string) {
	values := watch(t, d, link, allGood)
	require.Len(t, values, len(d.Points))
	for _, p := range d.Points {
		require.Equal(t, p.Sample().String(), values[p.ID()].Value.String(), "%s of %s", p.ID(), d.ID)
	}
}

// valuesOf runs such a bridge until every point is good or bad, and gives them by their ids.
func valuesOf(t *testing.T, d *template.Template, link string) map[string]bridges.Reading {
	return watch(t, d, link, func(list []bridges.Reading) bool {
		return len(list) > 0 && !slices.ContainsFunc(list, func(r bridges.Reading) bool { return r.Error == bridges.ErrNoValueYet })
	})
}

// readOwn is readThrough for a template that did not come with the program.
func readOwn(t *testing.T, d *template.Template, link string) {
	own, kinds := set(t, t.TempDir())
	_, err := own.Put(d.ID, d.Text())
	require.NoError(t, err)
	values := watchKinds(t, kinds, d, link, allGood)
	for _, p := range d.Points {
		require.Equal(t, p.Sample().String(), values[p.ID()].Value.String(), p.ID())
	}
}

func watch(t *testing.T, d *template.Template, link string, settled func([]bridges.Reading) bool) map[string]bridges.Reading {
	_, kinds := set(t, "")
	return watchKinds(t, kinds, d, link, settled)
}

func watchKinds(t *testing.T, kinds []bridges.Kind, d *template.Template, link string, settled func([]bridges.Reading) bool) map[string]bridges.Reading {
	settings := fmt.Sprintf(`{"id":"b","kind":%q,"link":%s,"timeout":"2s","devices":[{"id":"d","template":%q}]}`, d.Kind, link, d.ID)
	c, err := bridges.NewConfig(json.RawMessage(settings), "")
	require.NoError(t, err)
	s := bridges.NewSupervisor(bridges.FieldRole, kinds, &bridgestest.Bus{}, &fault.Alarms{}, slog.New(slog.DiscardHandler))
	require.NoError(t, s.Check(c))
	require.NoError(t, s.Apply([]bridges.Config{c}))
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	defer func() {
		stop()
		require.NoError(t, <-ended)
	}()
	require.Eventually(t, func() bool { return settled(s.Values()) }, 20*time.Second, 20*time.Millisecond, "%s: %v", d.ID, s.Values())
	values := map[string]bridges.Reading{}
	for _, r := range s.Values() {
		values[r.Point] = r
	}
	return values
}

func allGood(list []bridges.Reading) bool {
	for _, r := range list {
		if r.Quality != bridges.Good {
			return false
		}
	}
	return len(list) > 0
}

// What a person needs to trust a template.
func TestDevices_SayWhatTheyAre(t *testing.T) {
	templates, kinds := set(t, "")
	for _, d := range templates.List() {
		t.Run(d.ID, func(t *testing.T) {
			dir := t.TempDir()
			own, _ := set(t, dir)
			_, err := own.Put(d.ID, d.Text())
			require.NoError(t, err, "its kind judges it")
			require.Regexp(t, regexp.MustCompile(`^[a-z0-9][a-z0-9-]+$`), d.ID)
			require.Regexp(t, regexp.MustCompile(`[Cc]hecked against`), d.Source, "the source must name a document, and what else the points were checked against")
			for _, language := range []string{"en", "zh"} {
				require.NotEmpty(t, d.Description[language])
			}
			for _, p := range d.Points {
				var names bridges.Names
				require.NoError(t, json.Unmarshal(p["name"], &names))
				require.NotEmpty(t, names["en"], p.ID())
				require.NotEmpty(t, names["zh"], p.ID())
				require.False(t, p.Sample().IsNone(), "%s has no sample", p.ID())
			}
			require.False(t, strings.Contains(string(d.Text()), "TODO"))
		})
	}
	require.Len(t, kinds, 2)
}
