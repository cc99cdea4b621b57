package sim_test

import (
	"context"
	"encoding/hex"
	"io"
	"math"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fieldgate/bridges/sim"
	"fieldgate/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func hexBytes(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	require.NoError(t, err)
	return b
}

// noon is a moment at which all waves of the meter are at their beginning.
func noon() time.Time { return time.Unix(360*1000, 0) }

func units() map[byte]sim.Device {
	return map[byte]sim.Device{1: sim.NewMeter(noon), 2: sim.NewRelays(noon)}
}

// talk sends requests to a served line one after the other and gives the answer to each.
func talk(t *testing.T, requests ...string) []string {
	t.Helper()
	near, far := net.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	var server sync.WaitGroup
	server.Go(func() { _ = sim.ServeRTU(ctx, far, units()) })
	defer server.Wait()
	defer stop()
	var answers []string
	for _, request := range requests {
		require.NoError(t, near.SetDeadline(time.Now().Add(10*time.Second)))
		_, err := near.Write(hexBytes(t, request))
		require.NoError(t, err)
		buf := make([]byte, 256)
		n, err := near.Read(buf)
		require.NoError(t, err)
		answers = append(answers, hex.EncodeToString(buf[:n]))
	}
	return answers
}

// The CRCs were computed by pymodbus.
func TestServeRTU_AnswersAsTheSpecificationSays(t *testing.T) {
	for _, c := range []struct{ name, request, want string }{
		{"coils", "02 01 0000 0008 3dff", "020101005 1cc"},
		{"write coil", "02 05 0000 ff00 8c09", "02050000ff008c09"},
		{"address beyond", "01 03 0005 0001 940b", "018302c0f1"},
		{"quantity 0", "01 03 0000 0000 45ca", "0183030131"},
		{"function unknown", "01 41 0000 0000 3dc5", "01c101b050"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, strings.ReplaceAll(c.want, " ", ""), talk(t, c.request)[0])
		})
	}
}

func TestServeRTU_SkipsNoiseAndOtherUnits(t *testing.T) {
	got := talk(t, "ff 00 09 03 0000 0001 8542"+"02 01 0000 0008 3dff")
	require.Equal(t, []string{"0201010051cc"}, got)
}

func TestServeTCP_AnswersAndEndsWithItsContext(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- sim.ServeTCP(ctx, ln, units()) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	for request, want := range map[string]string{
		"0007 0000 0006 02 02 0000 0008": "0007 0000 0004 02 02 01 00",
		"0008 0000 0006 07 03 0000 0001": "0008 0000 0003 07 83 0b",
	} {
		_, err = conn.Write(hexBytes(t, request))
		require.NoError(t, err)
		got := make([]byte, len(hexBytes(t, want)))
		_, err = io.ReadFull(conn, got)
		require.NoError(t, err)
		require.Equal(t, hexBytes(t, want), got)
	}
	stop()
	require.NoError(t, <-ended)
}

func TestMeter_MeasuresByItsFormula(t *testing.T) {
	m := sim.NewMeter(noon)
	got, e := m.ReadRegisters(sim.InputRegisters, 0, 24)
	require.Equal(t, sim.OK, e)
	v := sim.MeterAt(noon())
	for i, want := range []float64{
		v.Voltage[0], v.Voltage[1], v.Voltage[2], v.Current[0], v.Current[1], v.Current[2],
		v.Power[0], v.Power[1], v.Power[2], v.TotalPower, v.Frequency, v.Energy,
	} {
		f := math.Float32frombits(uint32(got[2*i])<<16 | uint32(got[2*i+1]))
		require.InEpsilon(t, want, float64(f), 1e-6, "register %d", 2*i)
	}
	require.InDelta(t, 230, v.Voltage[0], 1e-9)
	require.InDelta(t, 5, v.Current[0], 1e-9)
	require.InDelta(t, 1300, v.Energy, 1e-9)
	holding, e := m.ReadRegisters(sim.HoldingRegisters, 0, 5)
	require.Equal(t, sim.OK, e)
	require.Equal(t, []uint16{150, 1000, 0, 2150, 15}, holding)
	require.Equal(t, sim.OK, m.WriteRegisters(2, []uint16{0xFFFF, 0xFC18}))
	require.Equal(t, sim.IllegalValue, m.WriteRegisters(4, []uint16{0}))
	require.Equal(t, sim.IllegalAddress, m.WriteRegisters(0, []uint16{0}))
	holding, _ = m.ReadRegisters(sim.HoldingRegisters, 2, 2)
	require.Equal(t, []uint16{0xFFFF, 0xFC18}, holding)
}

func TestRelays_KeepWhatIsWritten(t *testing.T) {
	r := sim.NewRelays(func() time.Time { return time.Unix(3, 0) })
	require.Equal(t, sim.OK, r.WriteBits(6, []bool{true, true}))
	require.Equal(t, sim.IllegalAddress, r.WriteBits(7, []bool{true, true}))
	bits, e := r.ReadBits(sim.Coils, 5, 3)
	require.Equal(t, sim.OK, e)
	require.Equal(t, []bool{false, true, true}, bits)
	require.True(t, r.Coil(7))
	inputs, e := r.ReadBits(sim.DiscreteInputs, 0, 4)
	require.Equal(t, sim.OK, e)
	require.Equal(t, []bool{true, true, true, false}, inputs)
}

func TestScaleLine_LooksLikeAScales(t *testing.T) {
	require.Equal(t, "ST,GS,+  12.34kg\r\n", sim.ScaleLine(12.34))
	require.Equal(t, "ST,GS,-   0.50kg\r\n", sim.ScaleLine(-0.5))
}

func TestServeScale_SendsLinesOnAPort(t *testing.T) {
	pty, err := sim.NewPTY("")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- sim.ServeScale(ctx, pty, noon, time.Millisecond) }()
	f, err := os.OpenFile(pty.Path(), os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	got := make([]byte, 3*len(sim.ScaleLine(12.5)))
	_, err = io.ReadFull(f, got)
	require.NoError(t, err)
	require.Equal(t, strings.Repeat(sim.ScaleLine(12.5), 3), string(got))
	stop()
	require.NoError(t, <-ended)
}
