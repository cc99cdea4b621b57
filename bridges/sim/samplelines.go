package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"fieldgate/bridges/template"
)

// ServeLines sends lines one after the other, and again from the first, one every
// interval, until ctx is done (nil) or the line fails. It closes w when it ends.
func ServeLines(ctx context.Context, w io.WriteCloser, lines []string, interval time.Duration) error {
	defer w.Close()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if _, err := io.WriteString(w, lines[i%len(lines)]); err != nil && ctx.Err() == nil {
			return fmt.Errorf("serve lines: %w", err)
		}
	}
}

// ServeAnswers gives the next line for every delimiter that comes, and the first after
// the last, until ctx is done (nil) or the line fails. It closes rw when it ends.
func ServeAnswers(ctx context.Context, rw io.ReadWriteCloser, delimiter byte, lines []string) error {
	stop := context.AfterFunc(ctx, func() { _ = rw.Close() })
	defer stop()
	defer rw.Close()
	buf, next := make([]byte, 256), 0
	for {
		n, err := rw.Read(buf)
		for _, c := range buf[:n] {
			if c != delimiter || err != nil {
				continue
			}
			_, err = io.WriteString(rw, lines[next%len(lines)])
			next++
		}
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("serve answers: %w", err)
		}
	}
}

// Lines gives what a template of the kind line sends, with the ends of lines, and
// whether it waits to be asked.
func Lines(t *template.Template) (lines []string, asked bool) {
	for _, l := range t.Lines {
		lines = append(lines, l+"\r\n")
	}
	_, asked = t.Device["request"]
	return lines, asked
}
