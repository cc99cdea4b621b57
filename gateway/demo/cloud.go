package demo

import (
	"errors"
	"log/slog"

	"fieldgate/broker"
	"fieldgate/internal/fault"
	"fieldgate/storage"
)

// cloud is a second broker that plays the one at the far end.
type cloud struct {
	db     *storage.DB
	broker *broker.Broker
}

func newCloud(dir, version string, log *slog.Logger) (*cloud, error) {
	kept := storage.Default()
	kept.DataDir = dir
	alarms := &fault.Alarms{}
	db, err := storage.Open(kept, alarms, log)
	if err != nil {
		return nil, err
	}
	cfg := broker.DefaultConfig()
	cfg.AllowAnonymous = true
	cfg.Version = version
	cfg.Listeners[0].Address = "127.0.0.1:0"
	b, err := broker.New(cfg, db.Spool(), nil, alarms, log)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &cloud{db: db, broker: b}, nil
}
