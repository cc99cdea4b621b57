package bridges_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
)

func TestCommands_TheLastOneToAPointWins(t *testing.T) {
	var q bridges.Commands[string]
	var told []string
	push := func(device, point, value string) {
		q.Push(bridges.PendingCommand[string]{Device: device, Point: point, Value: json.RawMessage(value), Done: func(w bridges.WriteResult) {
			told = append(told, device+"/"+point+" "+value+" "+string(w.Code))
		}})
	}
	push("d", "a", "1")
	push("d", "b", "2")
	push("e", "a", "3")
	push("d", "a", "4")
	require.Equal(t, []string{"d/a 1 superseded"}, told)
	var left []string
	for c, ok := q.Pop(); ok; c, ok = q.Pop() {
		left = append(left, string(c.Value))
	}
	require.Equal(t, []string{"2", "3", "4"}, left)
	push("d", "a", "5")
	q.Close()
	push("d", "a", "6")
	require.Equal(t, []string{"d/a 5 unavailable", "d/a 6 unavailable"}, told[1:])
}

func TestCommands_AreLimited(t *testing.T) {
	var q bridges.Commands[int]
	var told []string
	push := func(device int, point string) {
		q.Push(bridges.PendingCommand[int]{Device: device, Point: point, Done: func(w bridges.WriteResult) { told = append(told, point+" "+string(w.Code)) }})
	}
	for i := range bridges.MaxCommands {
		push(i, "p")
	}
	require.Empty(t, told)
	push(bridges.MaxCommands, "one more")
	push(0, "p")
	require.Equal(t, []string{"one more too_many", "p superseded"}, told)
}

func TestCommands_TellWhenOneHasCome(t *testing.T) {
	var q bridges.Commands[string]
	news := q.News()
	select {
	case <-news:
		t.Fatal("nothing came")
	default:
	}
	interrupted := false
	q.SetInterrupt(func() { interrupted = true })
	q.Push(bridges.PendingCommand[string]{Device: "d", Point: "p", Done: func(bridges.WriteResult) {}})
	<-news
	<-q.News() // as long as it waits
	require.True(t, interrupted)
}
