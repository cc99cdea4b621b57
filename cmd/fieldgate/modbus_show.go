package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"fieldgate/bridges"
)

// What the commands below modbus print.

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
