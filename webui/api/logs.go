package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"fieldgate/internal/fault"
	"fieldgate/internal/logring"
)

type logRecord struct {
	Seq     string            `json:"seq" doc:"Rises from record to record"`
	Time    time.Time         `json:"time"`
	Level   string            `json:"level" enum:"debug,info,warn,error"`
	Part    string            `json:"part" doc:"Who logged it"`
	Message string            `json:"message"`
	Attrs   map[string]string `json:"attributes" nullable:"false"`
}

type logsInput struct {
	After    string `query:"after" maxLength:"20" doc:"Only records behind this seq; that of the last record when polling"`
	Limit    int    `query:"limit" minimum:"1" maximum:"2000" default:"200" doc:"The last so many"`
	Level    string `query:"level" enum:"debug,info,warn,error" default:"info" doc:"This level and above"`
	Part     string `query:"part" maxLength:"256" doc:"Only of this part: mqtt, storage, webui, settings"`
	Contains string `query:"contains" maxLength:"1024" doc:"Only with this word in the message or an attribute, whatever its case"`
}

func (a *API) addLogs() {
	add(a, operation{
		method: http.MethodGet, path: "/logs", id: "list-logs", summary: "The last log records since the start, oldest first", tag: "system", role: Viewer,
		errors: []int{http.StatusUnprocessableEntity},
	}, a.listLogs)
}

func (a *API) listLogs(_ context.Context, in *logsInput) (*listOutput[logRecord], error) {
	after := uint64(0)
	if in.After != "" {
		var err error
		if after, err = strconv.ParseUint(in.After, 10, 64); err != nil {
			return nil, fault.New(fault.Invalid, "after must be the seq of a record")
		}
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(in.Level)); err != nil { // huma has checked it; an absent one is info
		level = slog.LevelInfo
	}
	limit := in.Limit
	if limit <= 0 {
		limit = 200
	}
	word := strings.ToLower(in.Contains)
	found := a.Logs.Since(after, limit, func(r *logring.Record) bool {
		return r.Level >= level && (in.Part == "" || partOf(r) == in.Part) && holds(r, word)
	})
	return listOf(mapped(found, logRecordOf)), nil
}

func partOf(r *logring.Record) string {
	for _, a := range r.Attrs {
		if a.Name == "part" {
			return a.Value
		}
	}
	return ""
}

func holds(r *logring.Record, word string) bool {
	return strings.Contains(strings.ToLower(r.Message), word) ||
		slices.ContainsFunc(r.Attrs, func(a logring.Attr) bool { return strings.Contains(strings.ToLower(a.Value), word) })
}

func logRecordOf(r logring.Record) logRecord {
	one := logRecord{
		Seq: fmt.Sprint(r.Seq), Time: utc(r.Time), Level: strings.ToLower(r.Level.String()), Part: partOf(&r), Message: r.Message, Attrs: map[string]string{},
	}
	for _, a := range r.Attrs {
		if a.Name != "part" {
			one.Attrs[a.Name] = a.Value
		}
	}
	return one
}
