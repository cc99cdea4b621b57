package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// modbusLink is where the commands below modbus go.
type modbusLink struct {
	std    stdio
	host   *string
	bridge string
	port   string
	baud   int
	format string
	ascii  bool
	tcp    string
	rtuTCP string
	json   bool
	unit   int

	timeout time.Duration
}

func newModbus(std stdio, host *string) *cobra.Command {
	l := &modbusLink{std: std, host: host}
	cmd := group("modbus", "Read, write and look for Modbus devices by hand", newModbusRead(l), newModbusWrite(l), newModbusScan(l), newModbusMonitor(l))
	cmd.Long = "Talks to Modbus devices. When the service runs and one of its bridges uses the port or address, it goes through this bridge, beside its polls; else directly."
	f := cmd.PersistentFlags()
	f.StringVar(&l.bridge, "bridge", "", "the id of a bridge of the running service")
	f.StringVar(&l.port, "port", "", "a serial port, /dev/ttyUSB0")
	f.IntVar(&l.baud, "baud", 9600, "bit rate of the serial port")
	f.StringVar(&l.format, "format", "8N1", "data bits, parity and stop bits")
	f.BoolVar(&l.ascii, "ascii", false, "Modbus ASCII in place of RTU")
	f.StringVar(&l.tcp, "tcp", "", "host:port of a Modbus/TCP device")
	f.StringVar(&l.rtuTCP, "rtu-over-tcp", "", "host:port of a serial server")
	f.IntVar(&l.unit, "unit", 1, "the unit identifier")
	f.DurationVar(&l.timeout, "timeout", 0, "how long an answer may take (default 500ms, of a scan 250ms)")
	f.BoolVar(&l.json, "json", false, "print JSON")
	return cmd
}

func newModbusRead(l *modbusLink) *cobra.Command {
	var table string
	var quantity, function, sub int
	cmd := &cobra.Command{
		Use: "read [ADDRESS]", Short: "Read registers or bits; shows every way to understand them", Args: wrongUse(cobra.MaximumNArgs(1)),
		Example: "  fieldgate modbus read 0 --quantity 2 --table input --port /dev/ttyUSB0\n  fieldgate modbus read --function 8 --sub-function 12 --port /dev/ttyUSB0",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && (function == 0 || function == 24) {
				return &usageError{errors.New("the address is missing")}
			}
			q := l.question(map[string]any{"unit": l.unit, "quantity": quantity, "function": function, "sub_function": sub})
			if len(args) > 0 {
				q["address"] = addressOf(args[0])
			}
			if table != "" {
				q["table"] = table
			}
			return l.byHand(cmd.Context(), "read", q, l.printRead)
		},
	}
	cmd.Flags().StringVar(&table, "table", "", "coil, discrete_input, holding or input (default holding)")
	cmd.Flags().IntVarP(&quantity, "quantity", "n", 1, "how many")
	cmd.Flags().IntVar(&function, "function", 0, "another function code that only reads: 7, 8, 11, 17, 24 or 43")
	cmd.Flags().IntVar(&sub, "sub-function", 0, "of function code 8: 0, 2, 11 to 18")
	return cmd
}

func newModbusWrite(l *modbusLink) *cobra.Command {
	var table, kind, order string
	var function, readAddress, readQuantity int
	var verify bool
	cmd := &cobra.Command{
		Use: "write ADDRESS VALUE", Short: "Write a value to a holding register or a coil", Args: wrongUse(cobra.ExactArgs(2)),
		Example: "  fieldgate modbus write 3 true --table coil --tcp 10.0.0.5",
		RunE: func(cmd *cobra.Command, args []string) error {
			q := l.question(map[string]any{"unit": l.unit, "address": addressOf(args[0]), "value": valueOf(args[1]), "verify": verify, "order": order, "function": function})
			if table != "" {
				q["table"] = table
			}
			if kind != "" {
				q["type"] = kind
			}
			if function == 23 {
				q["read_address"], q["read_quantity"] = readAddress, readQuantity
			}
			return l.byHand(cmd.Context(), "write", q, l.printWrite)
		},
	}
	cmd.Flags().StringVar(&table, "table", "", "coil or holding (default holding)")
	cmd.Flags().StringVar(&kind, "type", "", "int16, uint32, float32 and so on")
	cmd.Flags().StringVar(&order, "order", "ABCD", "ABCD, CDAB, BADC or DCBA")
	cmd.Flags().IntVar(&function, "function", 0, "function code; 0 takes the one that fits; 23 also reads")
	cmd.Flags().IntVar(&readAddress, "read-address", 0, "of function code 23: the first holding register to read")
	cmd.Flags().IntVar(&readQuantity, "read-quantity", 1, "of function code 23: how many")
	cmd.Flags().BoolVar(&verify, "verify", false, "read it back")
	return cmd
}

func newModbusScan(l *modbusLink) *cobra.Command {
	var from, to int
	var all bool
	cmd := &cobra.Command{
		Use: "scan", Short: "Look for devices; only reads", Args: wrongUse(cobra.NoArgs),
		Example: "  fieldgate modbus scan --port /dev/ttyUSB0 --to 32",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return l.scan(cmd.Context(), l.question(map[string]any{"units": map[string]int{"from": from, "to": to}, "all_formats": all}))
		},
	}
	cmd.Flags().IntVar(&from, "from", 1, "the first unit identifier")
	cmd.Flags().IntVar(&to, "to", 247, "the last unit identifier")
	cmd.Flags().BoolVar(&all, "all-formats", false, "go on with other bit rates and formats after one was right")
	return cmd
}

func newModbusMonitor(l *modbusLink) *cobra.Command {
	return &cobra.Command{
		Use: "monitor", Short: "Show what goes over the link of a bridge of the running service, until interrupted", Args: wrongUse(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return l.monitor(cmd.Context()) },
	}
}

// question adds what all questions have.
func (l *modbusLink) question(q map[string]any) map[string]any {
	if l.timeout > 0 {
		q["timeout"] = l.timeout.String()
	}
	return q
}

// addressOf gives a number, or the text for notations such as 0x10 and 4x1.
func addressOf(text string) any {
	if n, err := strconv.ParseUint(text, 10, 32); err == nil && (text == "0" || text[0] != '0') {
		return n
	}
	return text
}

func valueOf(text string) any {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return text
}

// byHand asks the service or the device, and prints the answer.
func (l *modbusLink) byHand(ctx context.Context, verb string, question map[string]any, show func(json.RawMessage) error) error {
	q, c, id, err := l.reach(ctx, question)
	if err != nil {
		return err
	}
	var answer json.RawMessage
	if id != "" {
		err = c.call(ctx, http.MethodPost, "/bridges/"+url.PathEscape(id)+"/"+verb, q, &answer)
	} else {
		answer, err = l.directly(ctx, verb, q)
	}
	if err != nil {
		return err
	}
	if l.json {
		fmt.Fprintln(l.std.out, strings.TrimSpace(string(answer)))
	} else if err := show(answer); err != nil {
		return err
	}
	var how struct {
		OK    bool
		Error string
	}
	if err := json.Unmarshal(answer, &how); err != nil || !how.OK {
		return errors.Join(err, errors.New(how.Error))
	}
	return nil
}

func (l *modbusLink) directly(ctx context.Context, verb string, q json.RawMessage) (json.RawMessage, error) {
	t, _, err := l.direct()
	if err != nil {
		return nil, err
	}
	do := t.ReadByHand
	if verb == "write" {
		do = t.WriteByHand
	}
	a, err := do(ctx, q)
	if err != nil {
		return nil, err
	}
	return json.Marshal(a)
}
