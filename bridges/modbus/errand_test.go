package modbus

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges"
)

func TestErrands_ReadBacksGoBeforeManualRequestsAndBothBeforePolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &script{answer: func([]byte) []piece { return []piece{after(20*msec, sealed(t, "01 03 02 0007"))} }}
		line, l := newLine(t, w, nil)
		s := &Settings{Link: Link{Serial: &Serial{Baud: 9600}}}
		r := newRun(&bridge{settings: s}, nil)
		own := newBus(w, s, l, newDebts())
		own.transport = line
		var order []class
		ask := func(c class) errand {
			return func(b *bus, f *failure) {
				require.Nil(t, f)
				pdu, _, f := b.ask(1, 3, 0, 0, 0, 1)
				require.Nil(t, f)
				require.Equal(t, []byte{3, 2, 0, 7}, pdu)
				order = append(order, c)
			}
		}
		r.errands.push(manual, ask(manual))
		r.errands.push(readBack, ask(readBack))
		for range 2 {
			require.NoError(t, r.step(context.Background(), own, time.Now()))
		}
		require.Equal(t, []class{readBack, manual}, order)
	})
}

func TestErrands_EndInAnyCase(t *testing.T) {
	var e errands
	var codes []string
	note := func(b *bus, f *failure) { codes = append(codes, f.code) }
	e.push(manual, note)
	e.refuse(&failure{code: bridges.ErrLink})
	for range maxErrands + 1 {
		e.push(manual, note)
	}
	require.Equal(t, []string{bridges.ErrLink, codeTooMany}, codes)
	e.close()
	require.Len(t, codes, 2+maxErrands)
	e.push(readBack, note)
	require.Equal(t, codeUnavailable, codes[len(codes)-1])
}
