package logring_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/internal/logring"
)

func all(*logring.Record) bool { return true }

func TestRing_KeepsTheLastRecordsThatAreLogged(t *testing.T) {
	ring := logring.New(3)
	var out bytes.Buffer
	log := slog.New(ring.Handler(slog.NewTextHandler(&out, nil)))
	require.Empty(t, ring.Since(0, 10, all))
	log.Debug("not logged")
	log.With("part", "mqtt").WithGroup("g").Info("first", "n", 1, slog.Group("in", "x", "y"))
	got := ring.Since(0, 10, all)
	require.Len(t, got, 1)
	require.Equal(t, []logring.Attr{{"part", "mqtt"}, {"g.n", "1"}, {"g.in.x", "y"}}, got[0].Attrs)
	for i := range 5 {
		log.Warn("later", "i", i, "long", strings.Repeat("x", 5000))
	}
	seqs := func(seq uint64, limit int, choose func(*logring.Record) bool) (list []uint64) {
		for _, r := range ring.Since(seq, limit, choose) {
			list = append(list, r.Seq)
		}
		return list
	}
	require.Equal(t, []uint64{4, 5, 6}, seqs(0, 10, all))
	require.Equal(t, []uint64{5, 6}, seqs(0, 2, all), "the last ones")
	require.Equal(t, []uint64{6}, seqs(5, 10, all))
	require.Empty(t, seqs(6, 10, all))
	require.Equal(t, []uint64{5}, seqs(0, 10, func(r *logring.Record) bool { return r.Attrs[0].Value == "3" }))
	require.Less(t, len(fmt.Sprint(ring.Since(5, 1, all))), 2200)
	require.Contains(t, out.String(), "msg=first part=mqtt g.n=1 g.in.x=y")
}
