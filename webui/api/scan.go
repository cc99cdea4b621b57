package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"fieldgate/bridges"
	"fieldgate/internal/fault"
)

// Field is what a person may do by hand on the links of bridges, and see of them; *bridges.Supervisor.
// A Config with an ID means the configured bridge, one without its own settings.
type Field interface {
	Scan(ctx context.Context, c bridges.Config, question json.RawMessage, tell func(bridges.ScanStep)) error
	ReadByHand(ctx context.Context, c bridges.Config, question json.RawMessage) (bridges.HandAnswer, error)
	WriteByHand(ctx context.Context, c bridges.Config, question json.RawMessage) (bridges.HandAnswer, error)
	// Watch gives the frames of a bridge's link to emit, which must not block, until stop is called or the bridge is gone.
	Watch(id string, emit func(bridges.Frame)) (stop func(), gone <-chan struct{}, err error)
	// History gives what is kept of a point's numbers; fault.NotFound when there is no such point.
	History(device, point string) (bridges.History, error)
}

// handInput is a question about a saved bridge.
type handInput struct {
	ID      string `path:"id"`
	RawBody []byte `contentType:"application/json"`
}

type handOutput struct{ Body json.RawMessage }

func (a *API) addScan() {
	const tag = bridgesSection
	errs := []int{http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity, http.StatusServiceUnavailable}
	question := func(name, words string) map[string]*huma.Schema {
		return body(shared(a, name, settings(words, nil, map[string]*huma.Schema{
			"bridge": someObject("kind and link of one that is not saved; not with the id of a saved one"),
		})))
	}
	scan := question("Scan", "Where to look for devices: units, formats, functions, address, timeout, all_formats, identify")
	read := question("Read", "What to read: unit, table, address, quantity, timeout")
	write := question("Write", "What to write: unit, table, address, and value with type and order, registers or coils; function, verify")

	add(a, operation{
		method: http.MethodPost, path: "/bridges/{id}/scan", id: "scan-bridge", summary: "Look for devices on a saved bridge's link; a job", tag: tag,
		role: Operator, status: http.StatusAccepted, errors: errs, body: scan,
	}, func(ctx context.Context, in *handInput) (*startedOutput, error) {
		c, q, err := saved(in)
		if err != nil {
			return nil, err
		}
		return a.scan(ctx, c, q)
	})
	add(a, operation{
		method: http.MethodPost, path: "/bridges/scan", id: "scan-link", summary: "Look for devices on a link that is not saved; a job", tag: tag,
		role: Operator, status: http.StatusAccepted, errors: errs, body: scan,
	}, func(ctx context.Context, in *free) (*startedOutput, error) {
		c, q, err := unsaved(in.RawBody)
		if err != nil {
			return nil, err
		}
		return a.scan(ctx, c, q)
	})
	a.addByHand("read", "Read once by hand", read, errs, a.Field.ReadByHand)
	a.addByHand("write", "Write once by hand", write, errs, func(ctx context.Context, c bridges.Config, q json.RawMessage) (bridges.HandAnswer, error) {
		where := handPlace(q)
		if e := requestOf(ctx).echo; e != nil {
			e.Set(auditWhere, where)
		}
		answer, err := a.Field.WriteByHand(ctx, c, q)
		if err == nil {
			a.log.Info("written by hand", "bridge", c.ID, "where", where, "author", requestOf(ctx).caller.name, "ok", answer.Answered())
		}
		return answer, err
	})
}

// handPlace says where a question writes, for the audit and the log: unit=1&table=holding&address=104. What is written is not told.
func handPlace(question json.RawMessage) string {
	const most = 32 // bytes of a value
	o, err := parseObject(question)
	if err != nil {
		return ""
	}
	var words []string
	for _, key := range []string{"unit", "table", "address", "function"} {
		if v := o.Get(key); v != nil && len(v) <= most {
			words = append(words, key+"="+url.QueryEscape(plain(v)))
		}
	}
	return strings.Join(words, "&")
}

// addByHand adds a call for saved bridges and one for links that are not saved.
func (a *API) addByHand(name, summary string, question map[string]*huma.Schema, errs []int, do func(context.Context, bridges.Config, json.RawMessage) (bridges.HandAnswer, error)) {
	answer := func(ctx context.Context, c bridges.Config, q json.RawMessage, err error) (*handOutput, error) {
		if err != nil {
			return nil, err
		}
		return handAnswer(do(ctx, c, q))
	}
	add(a, operation{
		method: http.MethodPost, path: "/bridges/{id}/" + name, id: name + "-bridge", summary: summary + " on a saved bridge's link", tag: bridgesSection,
		role: Operator, errors: errs, body: question, result: someObject("How it went; ok tells whether the device did it"),
	}, func(ctx context.Context, in *handInput) (*handOutput, error) {
		c, q, err := saved(in)
		return answer(ctx, c, q, err)
	})
	add(a, operation{
		method: http.MethodPost, path: "/bridges/" + name, id: name + "-link", summary: summary + " on a link that is not saved", tag: bridgesSection,
		role: Operator, errors: errs, body: question, result: someObject("How it went; ok tells whether the device did it"),
	}, func(ctx context.Context, in *free) (*handOutput, error) {
		c, q, err := unsaved(in.RawBody)
		return answer(ctx, c, q, err)
	})
}

// handAnswer tells an answer; a link that fails is one.
func handAnswer(answer bridges.HandAnswer, err error) (*handOutput, error) {
	if f, one := errors.AsType[*fault.Error](err); one && f.Field == "" && f.Code == fault.Unreachable {
		text, err := json.Marshal(map[string]any{"ok": false, "ms": 0, "error": f.Message, "code": f.Code, "exception": 0})
		return &handOutput{Body: text}, err
	}
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(answer)
	return &handOutput{Body: text}, err
}

// saved is a question about the bridge in the path.
func saved(in *handInput) (bridges.Config, json.RawMessage, error) {
	q, err := readBody(in.RawBody)
	return bridges.Config{ID: in.ID}, q.JSON(), err
}

// unsaved takes the settings of a link out of a question.
func unsaved(text []byte) (bridges.Config, json.RawMessage, error) {
	q, err := readBody(text)
	if err != nil {
		return bridges.Config{}, nil, err
	}
	link, err := parseObject(q.Get("bridge"))
	if err != nil {
		return bridges.Config{}, nil, fault.At("/bridge", fault.Required, `is needed: {"kind":"modbus","link":{...}}`)
	}
	q.Remove("bridge")
	link.Remove("id")
	return bridges.Config{Kind: link.Text("kind"), Settings: link.JSON()}, q.JSON(), nil
}

func (a *API) scan(ctx context.Context, c bridges.Config, question json.RawMessage) (*startedOutput, error) {
	subject, kind := "", c.Kind
	if c.ID != "" {
		subject, kind = bridges.FieldRole.Part(c.ID), a.kindOf(c.ID)
	}
	return a.begin(ctx, "scan", subject, func(ctx context.Context, j *job) error {
		return a.Field.Scan(ctx, c, question, func(s bridges.ScanStep) {
			var result json.RawMessage
			if s.Found != nil {
				a.Templates.Guess(ctx, kind, s)
				if text, err := json.Marshal(s.Found); err == nil {
					result = text
				}
			}
			j.step(s.Done, s.Total, s.Words, result)
		})
	})
}

// kindOf gives the kind of a saved bridge, "" when there is none.
func (a *API) kindOf(id string) string {
	o, err := parseObject(a.find(a.bridges, id))
	if err != nil {
		return ""
	}
	return o.Text("kind")
}
