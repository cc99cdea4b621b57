package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"fieldgate/bridges"
	"fieldgate/bridges/all"
	"fieldgate/bridges/template"
	"fieldgate/gateway"
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

// settings are those of the link that the flags name; nil when they name a bridge.
func (l *modbusLink) settings() (json.RawMessage, error) {
	named := 0
	for _, flag := range []string{l.bridge, l.port, l.tcp, l.rtuTCP} {
		if flag != "" {
			named++
		}
	}
	if named != 1 {
		return nil, &usageError{errors.New("exactly one of --bridge, --port, --tcp and --rtu-over-tcp is needed")}
	}
	var link map[string]any
	switch {
	case l.bridge != "":
		return nil, nil
	case l.port != "":
		link = map[string]any{"serial": map[string]any{"port": l.port, "baud": l.baud, "format": l.format, "ascii": l.ascii}}
	case l.tcp != "":
		link = map[string]any{"tcp": map[string]any{"address": l.tcp}}
	default:
		link = map[string]any{"rtu_over_tcp": map[string]any{"address": l.rtuTCP}}
	}
	return json.Marshal(map[string]any{"kind": "modbus", "link": link})
}

// service gives a client of the running service and the id of the bridge that has the link; an empty id when none has.
func (l *modbusLink) service(ctx context.Context) (*client, string, error) {
	c, err := running(ctx, *l.host)
	if err != nil {
		if l.bridge == "" {
			return nil, "", nil // nobody runs: directly
		}
		return nil, "", err
	}
	if l.bridge != "" {
		return c, l.bridge, nil
	}
	var list struct {
		Items []struct {
			ID      string
			Enabled *bool
			Link    struct {
				Serial     struct{ Port string }
				TCP        struct{ Address string }
				RTUOverTCP struct{ Address string } `json:"rtu_over_tcp"`
			}
		}
	}
	if err := c.call(ctx, http.MethodGet, "/bridges", nil, &list); err != nil {
		return nil, "", err
	}
	for _, b := range list.Items {
		if b.Enabled != nil && !*b.Enabled {
			continue
		}
		if l.port != "" && samePort(l.port, b.Link.Serial.Port) || l.tcp != "" && sameHost(l.tcp, b.Link.TCP.Address) || l.rtuTCP != "" && sameHost(l.rtuTCP, b.Link.RTUOverTCP.Address) {
			return c, b.ID, nil
		}
	}
	return c, "", nil
}

func samePort(a, b string) bool {
	resolve := func(path string) string {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return real
		}
		return path
	}
	return b != "" && resolve(a) == resolve(b)
}

func sameHost(a, b string) bool {
	return b != "" && strings.TrimSuffix(a, ":502") == strings.TrimSuffix(b, ":502")
}

// direct gives the tools for the link itself, and the templates that may fit what they find.
func (l *modbusLink) direct() (bridges.Tools, *template.Set, error) {
	settings, err := l.settings()
	if err != nil {
		return nil, nil, err
	}
	templates := template.New(gateway.ReadTemplate, "")
	for _, k := range all.Kinds(templates) {
		if k.Name == "modbus" {
			t, err := k.Tools(bridges.Config{Kind: k.Name, Settings: settings}, slog.New(slog.DiscardHandler))
			return t, templates, err
		}
	}
	return nil, nil, errors.New("this build has no Modbus")
}

// byHand asks the service or the device, and prints the answer.
func (l *modbusLink) byHand(ctx context.Context, verb string, question map[string]any, show func(json.RawMessage) error) error {
	if _, err := l.settings(); err != nil {
		return err
	}
	q, err := json.Marshal(question)
	if err != nil {
		return err
	}
	c, id, err := l.service(ctx)
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

func (l *modbusLink) printRead(answer json.RawMessage) error {
	var a struct {
		OK   bool
		MS   float64
		Said []struct {
			Name, Text string
			Value      int
		}
		Registers []handRegister
		Bits      []struct {
			Address int
			Value   bool
		}
		Decodes []struct {
			Address     int
			Type, Order string
			Text        string
			Likely      bool
		}
	}
	if err := json.Unmarshal(answer, &a); err != nil || !a.OK {
		return err
	}
	w := tabwriter.NewWriter(l.std.out, 0, 0, 2, ' ', 0)
	for _, s := range a.Said {
		fmt.Fprintf(w, "%s\t%d\t%s\n", s.Name, s.Value, s.Text)
	}
	for _, b := range a.Bits {
		fmt.Fprintf(w, "%d\t%v\n", b.Address, b.Value)
	}
	printRegisters(w, a.Registers)
	likely := false
	for _, d := range a.Decodes {
		if d.Likely {
			if !likely {
				fmt.Fprintln(w, "\nLIKELY\t\t\t\nADDRESS\tTYPE\tORDER\tVALUE")
			}
			likely = true
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", d.Address, d.Type, d.Order, d.Text)
		}
	}
	return w.Flush()
}

// handRegister is a register that a read or write by hand gave.
type handRegister struct {
	Address  int
	Hex      string
	Unsigned int
	Signed   int
}

func printRegisters(w io.Writer, list []handRegister) {
	if len(list) > 0 {
		fmt.Fprintln(w, "ADDRESS\tHEX\tUNSIGNED\tSIGNED")
	}
	for _, r := range list {
		fmt.Fprintf(w, "%d\t%s\t%d\t%d\n", r.Address, r.Hex, r.Unsigned, r.Signed)
	}
}

func (l *modbusLink) printWrite(answer json.RawMessage) error {
	var a struct {
		OK        bool
		MS        float64
		Function  int
		Raw       string
		Verified  bool
		Registers []handRegister
	}
	if err := json.Unmarshal(answer, &a); err != nil || !a.OK {
		return err
	}
	how := ""
	if a.Verified {
		how = ", read back"
	}
	fmt.Fprintf(l.std.out, "written: %s by function code %d in %g ms%s\n", a.Raw, a.Function, a.MS, how)
	w := tabwriter.NewWriter(l.std.out, 0, 0, 2, ' ', 0)
	printRegisters(w, a.Registers)
	return w.Flush()
}

// scan looks for devices through the service or directly, and prints each as it is found.
func (l *modbusLink) scan(ctx context.Context, question map[string]any) error {
	if _, err := l.settings(); err != nil {
		return err
	}
	q, err := json.Marshal(question)
	if err != nil {
		return err
	}
	c, id, err := l.service(ctx)
	if err != nil {
		return err
	}
	if !l.json {
		fmt.Fprintf(l.std.out, "%-5s %-12s %-9s %-30s %s\n", "UNIT", "FORMAT", "MS", "IS", "TEMPLATES")
	}
	if id != "" {
		return l.follow(ctx, c, id, q)
	}
	t, templates, err := l.direct()
	if err != nil {
		return err
	}
	return t.Scan(ctx, q, func(s bridges.ScanStep) {
		if s.Found == nil {
			return
		}
		templates.Guess(ctx, "modbus", s)
		if text, err := json.Marshal(s.Found); err == nil {
			l.printFound(text)
		}
	})
}

// follow runs a scan as a job of the service, and cancels it when ctx ends.
func (l *modbusLink) follow(ctx context.Context, c *client, id string, question json.RawMessage) error {
	type state struct {
		ID          string
		State       string
		Error       string
		ResultCount int `json:"result_count"`
		Results     []json.RawMessage
	}
	var now state
	if err := c.call(ctx, http.MethodPost, "/bridges/"+url.PathEscape(id)+"/scan", question, &now); err != nil {
		return err
	}
	job := "/jobs/" + now.ID
	for shown := 0; ; {
		for _, r := range now.Results {
			l.printFound(r)
		}
		shown += len(now.Results)
		switch now.State {
		case "done":
			return nil
		case "running":
		default:
			return errors.New("the scan was " + now.State + ": " + now.Error)
		}
		select {
		case <-ctx.Done():
			cancel, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer stop()
			return errors.Join(ctx.Err(), c.call(cancel, http.MethodPost, job+"/cancel", nil, nil))
		case <-time.After(200 * time.Millisecond):
		}
		now = state{}
		if err := c.call(ctx, http.MethodGet, job+"?after="+strconv.Itoa(shown), nil, &now); err != nil {
			return err
		}
	}
}

func (l *modbusLink) printFound(text json.RawMessage) {
	if l.json {
		fmt.Fprintln(l.std.out, string(text))
		return
	}
	var f bridges.Found
	if json.Unmarshal(text, &f) != nil {
		return
	}
	format := ""
	if f.Baud > 0 {
		format = fmt.Sprintf("%d %s", f.Baud, f.Format)
	}
	is := strings.TrimSpace(f.Vendor + " " + f.Product + " " + f.Revision)
	if is == "" {
		is = f.Words
	}
	if !f.Certain {
		is = "? " + is
	}
	fmt.Fprintf(l.std.out, "%-5d %-12s %-9.1f %-30s %s\n", f.Unit, format, f.MS, is, strings.Join(f.Templates, " "))
}

// monitor prints frames until ctx ends.
func (l *modbusLink) monitor(ctx context.Context) error {
	if _, err := l.settings(); err != nil {
		return err
	}
	c, id, err := l.service(ctx)
	switch {
	case err != nil:
		return err
	case id == "":
		return errors.New("no bridge of a running service has this link: the monitor shows what a bridge does")
	}
	return c.events(ctx, "/bridges/"+url.PathEscape(id)+"/monitor", func(event string, data []byte) error {
		if event != "frames" {
			return errors.New("the bridge was removed or got other settings")
		}
		return l.printFrames(data)
	})
}

func (l *modbusLink) printFrames(data []byte) error {
	var list struct {
		Items   []json.RawMessage
		Dropped int
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	for _, text := range list.Items {
		if l.json {
			fmt.Fprintln(l.std.out, string(text))
			continue
		}
		var f bridges.Frame
		if err := json.Unmarshal(text, &f); err != nil {
			return err
		}
		printFrame(l.std.out, f)
	}
	if list.Dropped > 0 {
		fmt.Fprintf(l.std.err, "%d frames are left out\n", list.Dropped)
	}
	return nil
}

func printFrame(out io.Writer, f bridges.Frame) {
	arrow := map[string]string{"request": ">", "answer": "<", "other": "?"}[f.Direction]
	fmt.Fprintf(out, "%s %s", f.Time.Local().Format("15:04:05.000"), arrow)
	content := "[" + f.Hex + "]"
	if f.Text != "" { // of a line device
		content = f.Text
	} else {
		fmt.Fprintf(out, " %3d", f.Unit)
	}
	if f.Name != "" {
		fmt.Fprintf(out, "  %s %d+%d", f.Name, f.Address, f.Quantity)
	}
	if len(f.Values) > 0 {
		fmt.Fprintf(out, " = %v", f.Values)
	}
	if f.Direction == "answer" {
		fmt.Fprintf(out, " (%.1f ms)", f.MS)
	}
	if f.Problem != "" || f.Words != "" {
		fmt.Fprintf(out, "  %s %s", f.Problem, f.Words)
	}
	fmt.Fprintf(out, "  %s\n", content)
}
