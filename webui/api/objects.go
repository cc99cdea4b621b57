package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"fieldgate/bridges"
	"fieldgate/internal/fault"
	"fieldgate/internal/ordered"
)

const jsonType = "application/json"

// section is a kind of objects among the managed settings, as a resource.
type section struct {
	name     string // of the section, and of its path: "bridges"
	path     string // where it is not the name
	singular string // for people and operation ids: "bridge"
	key      string // the member that names an object: "id"
	read     Role
	write    Role
	schema   *huma.Schema
	// What runs of it; nil for accounts and access rules.
	links  Links
	kind   string                   // of an object that names none
	status func(bridges.Status) any // the form in which a status is shown
}

// free is a body that the settings' own decoder judges.
type free struct {
	RawBody []byte `contentType:"application/json"`
}

type freeChange struct {
	Key     string `path:"id"`
	IfMatch string `header:"If-Match" doc:"The ETag that GET gave, or *"`
	RawBody []byte `contentType:"application/json"`
}

type objectOutput struct {
	Location string `header:"Location"`
	ETag     string `header:"ETag" doc:"Of the settings alone: a change of the status does not change it"`
	Body     json.RawMessage
}

func body(s *huma.Schema) map[string]*huma.Schema { return map[string]*huma.Schema{jsonType: s} }

// addSection adds list, create, get, replace, patch and delete.
func (a *API) addSection(s section) {
	tag := cmp.Or(s.path, s.name)
	path := "/" + tag
	one := path + "/{id}"
	words := strings.ReplaceAll(s.name, "_", " ")
	changed := []int{http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed, http.StatusPreconditionRequired, http.StatusUnprocessableEntity}
	add(a, operation{method: http.MethodGet, path: path, id: "list-" + tag, summary: "All " + words, tag: tag, role: s.read, result: listSchema(s.schema)},
		func(context.Context, *struct{}) (*listOutput[json.RawMessage], error) { return a.listSection(s) })
	add(a, operation{
		method: http.MethodPost, path: path, id: "create-" + s.singular, summary: "Add", tag: tag, role: s.write,
		status: http.StatusCreated, errors: []int{http.StatusConflict, http.StatusUnprocessableEntity}, body: body(s.schema), result: s.schema,
	}, func(ctx context.Context, in *free) (*objectOutput, error) { return a.createObject(ctx, s, in.RawBody) })
	add(a, operation{
		method: http.MethodGet, path: one, id: "get-" + s.singular, summary: "One of the " + words, tag: tag, role: s.read,
		errors: []int{http.StatusNotFound}, result: s.schema,
	}, func(_ context.Context, in *idInput) (*objectOutput, error) { return a.getObject(s, in.ID) })
	add(a, operation{
		method: http.MethodPut, path: one, id: "put-" + s.singular, summary: "Replace", tag: tag, role: s.write, errors: changed, body: body(s.schema), result: s.schema,
	}, func(ctx context.Context, in *freeChange) (*objectOutput, error) {
		return a.changeObject(ctx, s, in, func(_ json.RawMessage, b object) json.RawMessage { return b.JSON() })
	})
	add(a, operation{
		method: http.MethodPatch, path: one, id: "patch-" + s.singular, summary: "Change in part, by a JSON merge patch (RFC 7396)", tag: tag, role: s.write,
		errors: changed, body: body(s.schema), result: s.schema,
	}, func(ctx context.Context, in *freeChange) (*objectOutput, error) {
		return a.changeObject(ctx, s, in, func(old json.RawMessage, b object) json.RawMessage { return mergePatch(old, b.JSON()) })
	})
	add(a, operation{
		method: http.MethodDelete, path: one, id: "delete-" + s.singular, summary: "Remove", tag: tag, role: s.write, status: http.StatusNoContent,
		errors: changed[:len(changed)-1],
	}, func(ctx context.Context, in *idChange) (*struct{}, error) { return nil, a.deleteObject(ctx, s, in) })
}

// addSwitch adds pause and resume: "enabled" false and true.
func (a *API) addSwitch(s section) {
	for word, enabled := range map[string]string{"pause": "false", "resume": "true"} {
		add(a, operation{
			method: http.MethodPost, path: "/" + s.name + "/{id}/" + word, id: word + "-" + s.singular, summary: "The same as enabled " + enabled,
			tag: s.name, role: s.write, status: http.StatusNoContent, errors: []int{http.StatusNotFound},
		}, func(ctx context.Context, in *idInput) (*struct{}, error) {
			_, err := a.change(ctx, s.name, in.ID, func(old json.RawMessage) (json.RawMessage, error) {
				if old == nil {
					return nil, s.missing()
				}
				return mergePatch(old, json.RawMessage(`{"enabled":`+enabled+`}`)), nil
			})
			return nil, err
		})
	}
}

func (a *API) listSection(s section) (*listOutput[json.RawMessage], error) {
	objects := a.Settings.List(s.name)
	items := make([]json.RawMessage, 0, len(objects))
	decorate := s.decorator()
	for _, text := range objects {
		item, err := shown(text, decorate)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return listOf(items), nil
}

// decorator gives what adds "status" to an object that is read.
func (s section) decorator() func(*object) {
	if s.links == nil {
		return func(*object) {}
	}
	now := map[string]bridges.Status{}
	for _, status := range s.links.Statuses() {
		now[status.ID] = status
	}
	return func(o *object) {
		status, ok := now[o.Text("id")]
		if !ok {
			status = bridges.Status{ID: o.Text("id"), Kind: o.Text("kind"), State: bridges.Offline, Reason: "not started yet"}
		}
		if b, err := json.Marshal(s.status(complete(status))); err == nil {
			o.Set("status", b)
		}
	}
}

func (s section) missing() error {
	return fault.New(fault.NotFound, "there is no such %s", s.singular)
}

func shown(text json.RawMessage, decorate func(*object)) (json.RawMessage, error) {
	o, err := parseObject(text)
	if err != nil {
		return nil, err
	}
	decorate(&o)
	return o.JSON(), nil
}

// find gives the object of that name, nil when there is none.
func (a *API) find(s section, key string) json.RawMessage {
	for _, text := range a.Settings.List(s.name) {
		if o, err := parseObject(text); err == nil && o.Text(s.key) == key {
			return text
		}
	}
	return nil
}

func (a *API) getObject(s section, key string) (*objectOutput, error) {
	text := a.find(s, key)
	if text == nil {
		return nil, s.missing()
	}
	return s.output(text)
}

func (s section) output(text json.RawMessage) (*objectOutput, error) {
	b, err := shown(text, s.decorator())
	if err != nil {
		return nil, err
	}
	return &objectOutput{ETag: etag(text), Body: b}, nil
}

func (a *API) createObject(ctx context.Context, s section, text []byte) (*objectOutput, error) {
	o, err := readBody(text)
	if err != nil {
		return nil, err
	}
	key := o.Text(s.key)
	if key == "" {
		return nil, s.unnamed(o)
	}
	stored, err := a.change(ctx, s.name, key, func(old json.RawMessage) (json.RawMessage, error) {
		if old != nil {
			return nil, fault.At("/"+s.key, fault.Conflict, "is in use by another %s", s.singular)
		}
		return o.JSON(), nil
	})
	if err != nil {
		return nil, err
	}
	out, err := s.output(stored)
	if err != nil {
		return nil, err
	}
	out.Location = Prefix + "/" + cmp.Or(s.path, s.name) + "/" + url.PathEscape(key)
	return out, nil
}

// unnamed gives the faults of an object that does not say its name, which the settings can't take.
func (s section) unnamed(o object) error {
	faults := fault.List{fault.At("/"+s.key, fault.Required, "is required, as a text")}
	if s.links == nil {
		return faults
	}
	o = slices.Clone(o)
	o.Set(s.key, ordered.Quote("unnamed"))
	c, err := bridges.NewConfig(o.JSON(), s.kind)
	if err == nil {
		err = s.links.Check(c)
	}
	return append(faults, fault.All(err)...)
}

// changeObject replaces an object by what merge makes of the present one and the body.
func (a *API) changeObject(ctx context.Context, s section, in *freeChange, merge func(old json.RawMessage, b object) json.RawMessage) (*objectOutput, error) {
	b, err := readBody(in.RawBody)
	if err != nil {
		return nil, err
	}
	stored, err := a.change(ctx, s.name, in.Key, func(old json.RawMessage) (json.RawMessage, error) {
		if old == nil {
			return nil, s.missing()
		}
		if err := checkMatch(in.IfMatch, etag(old)); err != nil {
			return nil, err
		}
		return keepKey(merge(old, b), s.key, in.Key)
	})
	if err != nil {
		return nil, err
	}
	return s.output(stored)
}

// keepKey puts the name into an object that does not say it, and refuses another one.
func keepKey(text json.RawMessage, key, name string) (json.RawMessage, error) {
	o, err := parseObject(text)
	if err != nil {
		return nil, err
	}
	switch o.Text(key) {
	case name:
	case "":
		o = slices.Insert(o, 0, ordered.Member{Key: key, Value: ordered.Quote(name)})
	default:
		return nil, fault.At("/"+key, fault.Invalid, "can't change; add it anew and remove the old one")
	}
	return o.JSON(), nil
}

func (a *API) deleteObject(ctx context.Context, s section, in *idChange) error {
	_, err := a.change(ctx, s.name, in.ID, func(old json.RawMessage) (json.RawMessage, error) {
		if old == nil {
			return nil, s.missing()
		}
		return nil, checkMatch(in.IfMatch, etag(old))
	})
	return err
}

// change is Settings.Change in the caller's name, one at a time.
func (a *API) change(ctx context.Context, section, key string, edit func(old json.RawMessage) (json.RawMessage, error)) (json.RawMessage, error) {
	a.changes.Lock()
	defer a.changes.Unlock()
	who := requestOf(ctx).caller
	return a.Settings.Change(ctx, who.name, section, key, func(old json.RawMessage) (json.RawMessage, error) {
		wanted, err := edit(old)
		if err != nil || wanted == nil {
			return wanted, err
		}
		return wanted, mayRefer(who, old, wanted)
	})
}

// mayRefer refuses a secret that is a reference ({file: PATH}, {env: NAME}, {secret: NAME}) to who is no administrator, unless
// it stands there already: the gateway would read for them what they may not, and send it where they say.
func mayRefer(who caller, old, wanted json.RawMessage) error {
	if who.role.Allows(Admin) {
		return nil
	}
	o, err := parseObject(wanted)
	if err != nil {
		return nil // the settings say what is wrong with it
	}
	reference := bytes.TrimSpace(o.Get("password"))
	if len(reference) == 0 || reference[0] != '{' {
		return nil
	}
	if was, err := parseObject(old); err == nil && was.Has("password") && etag(was.Get("password")) == etag(reference) {
		return nil
	}
	return fault.At("/password", fault.Forbidden, "only an administrator may have the gateway read it from a file, a variable or another secret")
}

// readBody reads the object of a body without what GET added to it: a body that was read may be sent back.
func readBody(text []byte) (object, error) {
	o, err := parseBody(text)
	if err != nil {
		return nil, err
	}
	o.Remove("status")
	if isNull(o.Get("password")) { // in a merge patch null removes
		o.Remove("password")
		o.Set("password_set", json.RawMessage("false"))
	}
	return o, nil
}
