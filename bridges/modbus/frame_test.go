package modbus

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// sealed appends the CRC to an ADU written in hex.
func sealed(t testing.TB, text string) []byte {
	b := hexBytes(t, text)
	return binary.LittleEndian.AppendUint16(b, crc(b))
}

func TestCRC_OfTheSpecification(t *testing.T) {
	require.Equal(t, hexBytes(t, "02 07 41 12"), sealed(t, "02 07"), "the example of Modbus over serial line V1.02, 6.2.2")
}

func TestScan_FindsTheAnswerAndNothingElse(t *testing.T) {
	read := sealed(t, "01 03 0000 0002")
	write := sealed(t, "01 06 0001 0003")
	many := sealed(t, "01 10 0010 0002 04 0001 0002")
	answer := sealed(t, "01 03 04 1122 3344")
	damaged := bytes.Clone(answer)
	damaged[4] ^= 1
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for _, c := range []struct {
		name    string
		request []byte
		in      []byte
		want    finding
	}{
		{"nothing", read, nil, finding{}},
		{"answer", read, answer, finding{frame: answer}},
		{"answer and rest", read, join(answer, []byte{7, 7}), finding{frame: answer, rest: 2}},
		{"noise before", read, join([]byte{0, 255, 3}, answer), finding{frame: answer, foreign: true}},
		{"noise that begins like it", read, join([]byte{1, 3, 4}, answer), finding{frame: answer, corrupt: true, foreign: true}},
		{"echo before", read, join(read, answer), finding{frame: answer, foreign: true}},
		{"half", read, answer[:5], finding{unending: true, foreign: true}},
		{"one byte", read, answer[:1], finding{unending: true}},
		{"damaged", read, damaged, finding{corrupt: true, foreign: true}},
		{"damaged and then right", read, join(damaged, answer), finding{frame: answer, corrupt: true, foreign: true}},
		{"of another unit", read, sealed(t, "02 03 04 1122 3344"), finding{foreign: true}},
		{"of another function", read, sealed(t, "01 04 04 1122 3344"), finding{foreign: true}},
		{"too short", read, sealed(t, "01 03 02 1122"), finding{foreign: true}},
		{"too long", read, sealed(t, "01 03 06 1122 3344 5566"), finding{foreign: true}},
		{"exception", read, sealed(t, "01 83 02"), finding{frame: sealed(t, "01 83 02")}},
		{"exception of another function", read, sealed(t, "01 84 02"), finding{foreign: true}},
		{"write", write, write, finding{frame: write}},
		{"write of another value", write, sealed(t, "01 06 0001 0004"), finding{foreign: true}},
		{"write of another address", write, sealed(t, "01 06 0002 0003"), finding{foreign: true}},
		{"write of many", many, sealed(t, "01 10 0010 0002"), finding{frame: sealed(t, "01 10 0010 0002")}},
		{"write of others", many, sealed(t, "01 10 0010 0003"), finding{foreign: true}},
		{"bits", sealed(t, "01 01 0000 0009"), sealed(t, "01 01 02 FF01"), finding{frame: sealed(t, "01 01 02 FF01")}},
		{"another number of bits", sealed(t, "01 01 0000 0008"), sealed(t, "01 01 02 FF01"), finding{foreign: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := scan(c.request, c.in)
			require.Equal(t, c.want.frame, got.frame)
			require.Equal(t, c.want.rest, got.rest)
			require.Equal(t, c.want.corrupt, got.corrupt, "corrupt")
			require.Equal(t, c.want.unending, got.unending, "unending")
			if c.name != "half" {
				require.Equal(t, c.want.foreign, got.foreign, "foreign")
			}
		})
	}
}

// Whatever comes: what scan gives is an answer to the request with a right CRC,
// and an answer after any noise that does not hold one itself is found.
func FuzzScan(f *testing.F) {
	read, write := sealed(f, "01 03 0000 0002"), sealed(f, "01 06 0001 0003")
	f.Add(read, sealed(f, "01 03 04 1122 3344"))
	f.Add(write, write)
	f.Add(read, sealed(f, "01 83 02"))
	f.Add(sealed(f, "11 10 0010 0002 04 0001 0002"), []byte{0x11, 0x10, 0, 0x10})
	f.Add([]byte{1}, []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, request, in []byte) {
		if len(request) < 8 || len(request) > maxADU || len(in) > 2*maxADU {
			return
		}
		got := scan(request, in)
		if got.frame == nil {
			return
		}
		require.True(t, crcRight(got.frame))
		require.Equal(t, request[0], got.frame[0])
		require.Equal(t, request[1], got.frame[1]&^0x80|request[1]&0x80)
		if got.frame[1] == request[1] && request[1] <= 4 {
			require.Equal(t, len(got.frame), int(got.frame[2])+5)
		}
		require.Contains(t, string(in), string(got.frame))
		again := scan(request, append([]byte{request[0] + 1}, in...))
		require.Equal(t, got.frame, again.frame)
	})
}
