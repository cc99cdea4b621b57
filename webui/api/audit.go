package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	auditBucket = "audit"
	maxAudit    = 1000             // entries that are kept
	auditQuiet  = 10 * time.Minute // the same again within it is counted, not written: flash wears out
)

// auditEntry says who changed what. Bodies are never in it.
type auditEntry struct {
	ID        string    `json:"id"`
	Time      time.Time `json:"time"`
	Author    string    `json:"author"`
	Role      Role      `json:"role"`
	Address   string    `json:"address" doc:"Where the request came from"`
	Operation string    `json:"operation" doc:"As openapi.json names it"`
	Path      string    `json:"path" doc:"What it was done to"`
}

// audit keeps who changed what.
type audit struct {
	store Store

	mu     sync.Mutex
	recent map[string]time.Time // by author, operation and path: when it was written
	last   int64                // the last key, in nanoseconds
}

// note writes that the caller has done what the operation is for. Reading is not noted.
func (a *API) note(ctx context.Context, operation string) {
	r := requestOf(ctx)
	if r.echo == nil || r.caller.name == "" {
		return
	}
	q := r.echo.Request()
	e := auditEntry{
		Time: time.Now().UTC(), Author: r.caller.name, Role: r.caller.role, Address: r.echo.RealIP(), Operation: operation,
		Path: strings.TrimPrefix(q.URL.Path, Prefix),
	}
	if topic := q.URL.Query().Get("topic"); topic != "" {
		e.Path += "?topic=" + topic
	}
	e.Path = e.Path[:min(len(e.Path), 1024)]
	if err := a.audit.add(e); err != nil {
		a.log.Error("audit entry not kept", "operation", operation, "author", e.Author, "err", err)
	}
}

func (u *audit) add(e auditEntry) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	for key, at := range u.recent {
		if e.Time.Sub(at) > auditQuiet {
			delete(u.recent, key)
		}
	}
	same := e.Author + "\x00" + e.Operation + "\x00" + e.Path
	if _, again := u.recent[same]; again {
		return nil
	}
	if len(u.recent) < maxAudit {
		u.recent[same] = e.Time
	}
	u.last = max(u.last+1, e.Time.UnixNano())
	e.ID = fmt.Sprintf("%019d", u.last)
	if err := save(u.store, auditBucket, e.ID, e); err != nil {
		return err
	}
	all, err := u.store.List(auditBucket)
	if err != nil || len(all) <= maxAudit {
		return err
	}
	keys := make([]string, 0, len(all))
	for key := range all {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys[:len(keys)-maxAudit] {
		if err := u.store.Delete(auditBucket, key); err != nil {
			return err
		}
	}
	return nil
}

func (a *API) addAudit() {
	add(a, operation{method: http.MethodGet, path: "/audit", id: "list-audit", summary: "Who changed what, newest first", tag: "system", role: Admin}, a.listAudit)
}

func (a *API) listAudit(_ context.Context, in *Page) (*listOutput[auditEntry], error) {
	all, err := a.Store.List(auditBucket)
	if err != nil {
		return nil, err
	}
	entries := make([]auditEntry, 0, len(all))
	for key, text := range all {
		var e auditEntry
		if json.Unmarshal(text, &e) == nil && (in.After == "" || key < in.After) {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b auditEntry) int { return cmp.Compare(b.ID, a.ID) })
	page := entries[:min(len(entries), in.limit())]
	out := listOf(page)
	if len(page) < len(entries) {
		out.Body.Next = in.next("/audit", page[len(page)-1].ID)
	}
	return out, nil
}
