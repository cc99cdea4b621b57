package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	auditBucket = "audit"
	loginBucket = "audit-logins"   // apart, so that who guesses passwords can't push out what was changed
	maxAudit    = 1000             // entries that are kept of either
	maxRefused  = 50               // refused logins that are written in a window of the throttle, from all addresses together
	auditQuiet  = 10 * time.Minute // the same again within it is not written: flash wears out
)

// auditWhere is the key in a request's context of what a handler adds to the entry's path.
const auditWhere = "audit where"

// The operations of logins in the audit.
const (
	loginDone    = "login"
	loginRefused = "login-refused"
)

// auditEntry says who changed what, and who logged in or could not. Bodies are never in it.
type auditEntry struct {
	ID        string    `json:"id"`
	Time      time.Time `json:"time"`
	Author    string    `json:"author" doc:"Empty for a refused login with a name that nobody has"`
	Role      Role      `json:"role" doc:"Empty for a refused login"`
	Address   string    `json:"address" doc:"Where the request came from"`
	Operation string    `json:"operation" doc:"As openapi.json names it; login-refused for a login that failed"`
	Path      string    `json:"path" doc:"What it was done to"`
}

// audit keeps who changed what.
type audit struct {
	store Store

	mu     sync.Mutex
	recent map[string]time.Time // by author, operation and path, of logins also address: when it was written
	last   int64                // the last key, in nanoseconds
}

// note writes that the caller has done what the operation is for. Reading is not noted, nor is a dry run: nothing was
// done, and the same done in earnest within auditQuiet would be missing.
func (a *API) note(ctx context.Context, operation string) {
	r := requestOf(ctx)
	if r.echo == nil || r.caller.name == "" {
		return
	}
	if dry, err := strconv.ParseBool(r.echo.QueryParam("dry_run")); err == nil && dry {
		return
	}
	a.keep(auditBucket, entryFor(r, r.caller.name, r.caller.role, operation))
}

// noteLogin writes that somebody has logged in, or was refused. name must be that of a person
// who exists, or "": what a stranger typed may be a password in the wrong field.
func (a *API) noteLogin(ctx context.Context, name string, role Role, operation string) {
	if operation == loginRefused && a.throttle.try("audit of refused logins", maxRefused) > 0 {
		return
	}
	a.keep(loginBucket, entryFor(requestOf(ctx), name, role, operation))
}

func entryFor(r request, author string, role Role, operation string) auditEntry {
	q := r.echo.Request()
	e := auditEntry{
		Time: time.Now().UTC(), Author: author, Role: role, Address: r.echo.RealIP(), Operation: operation,
		Path: strings.TrimPrefix(q.URL.Path, Prefix),
	}
	if topic := q.URL.Query().Get("topic"); topic != "" {
		e.Path += "?topic=" + topic
	}
	if where, ok := r.echo.Get(auditWhere).(string); ok {
		e.Path += "?" + where
	}
	e.Path = e.Path[:min(len(e.Path), 1024)]
	return e
}

func (a *API) keep(bucket string, e auditEntry) {
	if err := a.audit.add(bucket, e); err != nil {
		a.log.Error("audit entry not kept", "operation", e.Operation, "author", e.Author, "err", err)
	}
}

func (u *audit) add(bucket string, e auditEntry) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	for key, at := range u.recent {
		if e.Time.Sub(at) > auditQuiet {
			delete(u.recent, key)
		}
	}
	same := e.Author + "\x00" + e.Operation + "\x00" + e.Path
	if bucket == loginBucket {
		same += "\x00" + e.Address
	}
	if _, again := u.recent[same]; again {
		return nil
	}
	if len(u.recent) < maxAudit {
		u.recent[same] = e.Time
	}
	u.last = max(u.last+1, e.Time.UnixNano())
	e.ID = fmt.Sprintf("%019d", u.last)
	if err := save(u.store, bucket, e.ID, e); err != nil {
		return err
	}
	all, err := u.store.List(bucket)
	if err != nil || len(all) <= maxAudit {
		return err
	}
	keys := make([]string, 0, len(all))
	for key := range all {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys[:len(keys)-maxAudit] {
		if err := u.store.Delete(bucket, key); err != nil {
			return err
		}
	}
	return nil
}

func (a *API) addAudit() {
	add(a, operation{method: http.MethodGet, path: "/audit", id: "list-audit", summary: "Who changed what, and who logged in, newest first", tag: "system", role: Admin}, a.listAudit)
}

func (a *API) listAudit(_ context.Context, in *Page) (*listOutput[auditEntry], error) {
	var entries []auditEntry
	for _, bucket := range []string{auditBucket, loginBucket} {
		all, err := a.Store.List(bucket)
		if err != nil {
			return nil, err
		}
		for key, text := range all {
			var e auditEntry
			if json.Unmarshal(text, &e) == nil && (in.After == "" || key < in.After) {
				entries = append(entries, e)
			}
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
