package bridges_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
)

func TestGate_PassesWhatIsNews(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(1000+s), 0) }
	good := func(s int, v bridges.Value) bridges.Reading {
		return bridges.Reading{Value: v, Quality: bridges.Good, Time: at(s)}
	}
	bad := func(s int, code string) bridges.Reading {
		return bridges.Reading{Quality: bridges.Bad, Error: code, Time: at(s)}
	}
	for _, c := range []struct {
		name string
		rule bridges.PublishRule
		in   []bridges.Reading
		want string // + for each that passes
	}{
		{"no rule", bridges.PublishRule{}, []bridges.Reading{good(0, bridges.Int(1)), good(1, bridges.Int(1))}, "++"},
		{"on change", bridges.PublishRule{OnChange: true}, []bridges.Reading{
			good(0, bridges.Int(1)), good(1, bridges.Int(1)), good(2, bridges.Int(2)), good(3, bridges.Uint(2)),
		}, "+-+-"},
		{"on change of a text", bridges.PublishRule{OnChange: true}, []bridges.Reading{
			good(0, bridges.Text("a")), good(1, bridges.Text("a")), good(2, bridges.Text("b")),
		}, "+-+"},
		{"deadband counts from what was published", bridges.PublishRule{Deadband: 0.1}, []bridges.Reading{
			good(0, bridges.Float(0.2)), good(1, bridges.Float(0.26)), good(2, bridges.Float(0.3)), good(3, bridges.Float(0.35)), good(4, bridges.Float(0.2)),
		}, "+-+-+"},
		{"deadband of a bool is any change", bridges.PublishRule{Deadband: 5}, []bridges.Reading{
			good(0, bridges.Bool(true)), good(1, bridges.Bool(true)), good(2, bridges.Bool(false)),
		}, "+-+"},
		{"heartbeat", bridges.PublishRule{Heartbeat: 10 * time.Second}, []bridges.Reading{
			good(0, bridges.Int(1)), good(9, bridges.Int(1)), good(10, bridges.Int(1)), good(19, bridges.Int(1)), good(20, bridges.Int(1)),
		}, "+-+-+"},
		{"clock set back", bridges.PublishRule{Heartbeat: time.Minute}, []bridges.Reading{good(30, bridges.Int(1)), good(0, bridges.Int(1))}, "++"},
		{"quality", bridges.PublishRule{OnChange: true}, []bridges.Reading{
			good(0, bridges.Int(1)), bad(1, "timeout"), bad(2, "timeout"), bad(3, "link"), good(4, bridges.Int(1)),
		}, "++-++"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var g bridges.Gate
			got := ""
			for _, r := range c.in {
				mark := "-"
				if g.Pass(c.rule, r) {
					mark = "+"
				}
				got += mark
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestPublishRule_TellsWhatIsWrong(t *testing.T) {
	var f bridges.Faults
	bridges.PublishRule{Deadband: -1, Heartbeat: -time.Second}.Check(&f, "/points/0")
	require.EqualError(t, f.Err(), "/points/0/deadband: must be 0 or above; /points/0/heartbeat: must be \"0s\" to \"168h\"")
	f = bridges.Faults{}
	bridges.PublishRule{Deadband: 1, Heartbeat: time.Hour}.Check(&f, "")
	require.NoError(t, f.Err())
}
