package modbus

import (
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/internal/fault"
)

func TestReadByHand_UnderstandsOtherFunctionCodes(t *testing.T) {
	for _, c := range []struct {
		name, question, request, answer string
		want                            []said
		wrong                           string
	}{
		{"exception status", `{"function":7}`, "", "07 6d", []said{{"exception_status", 0x6D, "01101101"}}, ""},
		{"returned data", `{"function":8}`, "0000 a537", "08 0000 a537", []said{{"returned_data", 0xA537, ""}}, ""},
		{"other data returned", `{"function":8}`, "0000 a537", "08 0000 a538", nil, "something else"},
		{"CRC errors of the bus", `{"function":8,"sub_function":12}`, "000c 0000", "08 000c 0007", []said{{"bus_crc_errors", 7, ""}}, ""},
		{"event counter", `{"function":11}`, "", "0b ffff 0108", []said{{"status", 0xFFFF, "busy"}, {"event_count", 264, ""}}, ""},
		{"event counter, too short", `{"function":11}`, "", "0b ffff", nil, "2 bytes of data"},
		{"server id", `{"function":17}`, "", "11 05 0a ff 4d 31 32", []said{{"product", 0, "M12"}}, ""},
		{"FIFO queue", `{"function":24,"address":1246}`, "04de", "18 0006 0002 01b8 1284", []said{{"fifo_count", 2, ""}}, ""},
		{"FIFO queue that says another count", `{"function":24,"address":1246}`, "04de", "18 0006 0003 01b8 1284", nil, "fit no answer"},
		{"device identification", `{"function":43}`, "0e 01 00", "2b 0e 01 01 00 00 02 00 02 4142 01 01 43", []said{{"vendor", 0, "AB"}, {"product", 0, "C"}}, ""},
		{"no device identification", `{"function":43}`, "0e 01 00", "2b 0d 01", nil, "no device identification"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var q functionQuestion
			require.NoError(t, json.Unmarshal([]byte(c.question), &q))
			if q.Function == 24 {
				q.address = 1246
			}
			require.Equal(t, unhex(t, c.request), append([]byte{}, q.data()...))
			a := newReadAnswer()
			wrong := q.understand(a, unhex(t, c.answer))
			if c.wrong != "" {
				require.Contains(t, wrong, c.wrong)
				return
			}
			require.Empty(t, wrong)
			require.Equal(t, c.want, a.Said)
			if q.Function == 24 {
				require.Equal(t, []register{{0, "01b8", 440, 440}, {1, "1284", 4740, 4740}}, a.Registers)
			}
		})
	}
}

func unhex(t *testing.T, digits string) []byte {
	t.Helper()
	var packed []byte
	for _, c := range []byte(digits) {
		if c != ' ' {
			packed = append(packed, c)
		}
	}
	b, err := hex.DecodeString(string(packed))
	require.NoError(t, err)
	return b
}

func TestReadByHand_RefusesFunctionCodesThatChangeSomething(t *testing.T) {
	for _, c := range []struct{ question, field string }{
		{`{"function":6}`, "/function"},
		{`{"function":16}`, "/function"},
		{`{"function":3}`, "/function"},
		{`{"function":8,"sub_function":1}`, "/sub_function"},
		{`{"function":8,"sub_function":4}`, "/sub_function"},
		{`{"function":8,"sub_function":10}`, "/sub_function"},
		{`{"function":7,"unit":400}`, "/unit"},
		{`{"function":24,"address":70000}`, "/address"},
	} {
		_, err := readByHand([]byte(c.question), Link{})
		require.Error(t, err, c.question)
		require.Equal(t, c.field, fault.All(err)[0].Field, c.question)
	}
}

func FuzzFunctionAnswer(f *testing.F) {
	for _, text := range []string{"076d", "080000a537", "0bffff0108", "11050aff4d3132", "180006000201b81284", "2b0e0101000002000241420101 43"} {
		b, _ := hex.DecodeString(text)
		f.Add(byte(7), b)
	}
	f.Fuzz(func(t *testing.T, function byte, pdu []byte) {
		if len(pdu) == 0 {
			return
		}
		q := functionQuestion{Function: int(function)}
		a := newReadAnswer()
		q.understand(a, pdu)
		require.LessOrEqual(t, len(a.Registers), len(pdu))
	})
}
