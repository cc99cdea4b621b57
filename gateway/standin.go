package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"fieldgate/broker/session"
	"fieldgate/gateway/config"
	"fieldgate/internal/fault"
	"fieldgate/storage"
	"fieldgate/webui"
)

// dataDirUnusable is the code of the alarm that stands while nothing can be kept.
const dataDirUnusable fault.Code = "data_dir_unusable"

// dataDirRetry is the pause between looks at a data directory that can't be used.
const dataDirRetry = 5 * time.Second

// NewStandIn builds a gateway for a data directory that New found unusable, so that
// the page and the log say what is wrong: with the settings, as far as they can be
// read, but without a spool. What is to be kept is refused. Run ends, and StartAnew is
// true, once the directory can be used.
func NewStandIn(file config.File, version string, log *slog.Logger, cause error) (*Gateway, error) {
	along := append(alongDirs(), webui.OwnFiles()...)
	standIn, err := storage.OpenStandIn(file.DataDir, cause, along, log.With("part", "storage"))
	if err != nil {
		return nil, err
	}
	words := fmt.Sprintf("the data directory %s can't be used: %v. Nothing can be kept: settings can't be changed, sessions that last and messages that are to be kept are refused, "+
		"uplinks do not run. Look at the disk or memory card and at the rights of the directory; the gateway starts anew by itself once it can be used", file.DataDir, cause)
	log.Error("data directory can't be used; nothing is kept", "data_dir", file.DataDir, "err", cause)
	g := newGateway(file, version, log)
	g.standIn, g.wanted = standIn, file.Storage()
	g.file.DataDir, g.file.Admin.DataDir = standIn.Dir(), standIn.Dir()
	g.alarms.Raise("storage", dataDirUnusable, words)
	g.unkept = words
	return g.build(standIn.State())
}

// awaitDataDir ends Run once the data directory can be used.
func (g *Gateway) awaitDataDir(ctx context.Context) error {
	tick := time.NewTicker(dataDirRetry)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := storage.Usable(g.wanted)
		if err == nil {
			g.log.Info("data directory can be used; the gateway starts anew", "data_dir", filepath.Clean(g.wanted.DataDir))
			g.startAnew()
			return nil
		}
		g.log.Debug("data directory still can't be used", "err", err)
	}
}

// spool is where the broker keeps what it owes.
func (g *Gateway) spool() session.Spool {
	if g.standIn != nil {
		return g.standIn.Spool()
	}
	return g.db.Spool()
}

// notice is what the page shows to everybody while nobody can log in, for nobody's password is known.
func (g *Gateway) notice() string {
	if g.standIn == nil || g.standIn.HasSettings() {
		return ""
	}
	return g.unkept
}
