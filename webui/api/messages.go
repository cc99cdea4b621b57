package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"fieldgate/broker"
	"fieldgate/broker/mqtt"
	"fieldgate/internal/fault"
)

const (
	maxShown        = 4 << 10   // bytes of a payload that lists show
	maxShownPage    = 256 << 10 // bytes of the payloads of one page of a queue
	publishPatience = 10 * time.Second
)

// ShownPayload is a message's payload as lists show it: as text when it is some, else in base64.
type ShownPayload struct {
	Text      *string `json:"payload" doc:"As text; null when it is none"`
	Base64    []byte  `json:"payload_base64,omitempty" doc:"When it is no text"`
	Bytes     int     `json:"payload_bytes" doc:"Of the whole payload"`
	Truncated bool    `json:"truncated" doc:"Only its first 4 KiB are shown"`
}

func payloadOf(b []byte) ShownPayload {
	p := ShownPayload{Bytes: len(b), Truncated: len(b) > maxShown}
	if p.Truncated {
		b = b[:maxShown]
		for range utf8.UTFMax - 1 { // not through the middle of a character
			if r, _ := utf8.DecodeLastRune(b); r != utf8.RuneError {
				break
			}
			b = b[:len(b)-1]
		}
	}
	if utf8.Valid(b) {
		p.Text = new(string(b))
	} else {
		p.Base64 = b
	}
	return p
}

type queuedMessage struct {
	ID       string    `json:"id" doc:"Its place in the spool; rises"`
	Topic    string    `json:"topic"`
	QoS      byte      `json:"qos" doc:"Of the delivery"`
	Accepted time.Time `json:"accepted"`
	Inflight bool      `json:"inflight"`
	ShownPayload
}

type queueInput struct {
	Page
	ID string `path:"id"`
}

func (a *API) peekQueue(_ context.Context, in *queueInput) (*listOutput[queuedMessage], error) {
	return a.queueOf(in.ID, "/sessions/"+pathOf(in.ID)+"/queue", in)
}

// queueOf gives a page of a session's queue; path is that of the page.
func (a *API) queueOf(session, path string, in *queueInput) (*listOutput[queuedMessage], error) {
	b, err := a.Broker()
	if err != nil {
		return nil, err
	}
	after := uint64(0)
	if in.After != "" {
		if after, err = strconv.ParseUint(in.After, 10, 64); err != nil {
			return nil, fault.New(fault.Invalid, "after must be the id of a message")
		}
	}
	page, err := b.PeekQueue(session, mqtt.MsgID(after), in.limit(), maxShownPage)
	if err != nil {
		return nil, err
	}
	out := listOf(mapped(page, queuedOf))
	if len(page) > 0 { // a page may be short because of its bytes, so only an empty one is the last
		out.Body.Next = in.next(path, out.Body.Items[len(page)-1].ID)
	}
	return out, nil
}

func queuedOf(q broker.QueuedMessage) queuedMessage {
	return queuedMessage{
		ID: strconv.FormatUint(uint64(q.ID), 10), Topic: q.Topic, QoS: byte(q.QoS), Accepted: utc(q.Accepted), Inflight: q.Inflight, ShownPayload: payloadOf(q.Payload),
	}
}

type retainedMessage struct {
	Topic  string    `json:"topic"`
	QoS    byte      `json:"qos"`
	Time   time.Time `json:"time" doc:"When it was accepted"`
	Expiry *int64    `json:"message_expiry_seconds" doc:"From then; null for never"`
	ShownPayload
}

func retainedOf(m *mqtt.Message) retainedMessage {
	r := retainedMessage{Topic: m.Topic, QoS: byte(m.QoS), Time: utc(m.Accepted), ShownPayload: payloadOf(m.Payload)}
	if m.Expiry > 0 {
		r.Expiry = new(int64(m.Expiry.Seconds()))
	}
	return r
}

type retainedInput struct {
	Page
	Filter string `query:"filter" maxLength:"65535" default:"#" doc:"A topic filter; $SYS/# for what the broker says of itself"`
}

type topicsInput struct {
	Page
	Prefix string `query:"prefix" maxLength:"65535" doc:"The levels above, fieldgate/meter/; empty for the top"`
}

// topicLevel is one word of topics below a prefix.
type topicLevel struct {
	Name     string           `json:"name"`
	Topic    string           `json:"topic"`
	Retained *retainedMessage `json:"retained" doc:"The message of the topic itself; null when there is none"`
	Below    int              `json:"below" doc:"Topics under it; go on with this topic and a slash as prefix"`
}

type clearInput struct {
	Topic string `query:"topic" required:"true" minLength:"1" maxLength:"65535"`
}

type publishBody struct {
	Topic         string          `json:"topic" minLength:"1" maxLength:"65535"`
	Payload       json.RawMessage `json:"payload,omitempty" doc:"Text is sent as it is, any other JSON as its text"`
	Base64        []byte          `json:"payload_base64,omitempty" doc:"Instead of payload"`
	QoS           int             `json:"qos,omitempty" minimum:"0" maximum:"2"`
	Retain        bool            `json:"retain,omitempty"`
	Expiry        uint32          `json:"message_expiry_seconds,omitempty" doc:"0 for never"`
	ContentType   string          `json:"content_type,omitempty" maxLength:"1024"`
	ResponseTopic string          `json:"response_topic,omitempty" maxLength:"65535"`
}

type publishResult struct {
	Receivers int   `json:"receivers" doc:"Sessions that get it"`
	Milli     int64 `json:"ms" doc:"Until it was safe"`
}

func (a *API) addMessages() {
	const tag = "messages"
	unavailable := []int{http.StatusServiceUnavailable}
	add(a, operation{
		method: http.MethodGet, path: "/topics", id: "list-topics", summary: "The words that follow a prefix in the topics of retained messages", tag: tag,
		role: Viewer, errors: append([]int{http.StatusUnprocessableEntity}, unavailable...),
	}, a.listTopics)
	add(a, operation{
		method: http.MethodGet, path: "/retained", id: "list-retained", summary: "Retained messages, by topic", tag: tag,
		role: Viewer, errors: append([]int{http.StatusUnprocessableEntity}, unavailable...),
	}, a.listRetained)
	add(a, operation{
		method: http.MethodDelete, path: "/retained", id: "clear-retained", summary: "Clear the retained message of one topic", tag: tag, role: Operator,
		status: http.StatusNoContent, errors: append([]int{http.StatusNotFound, http.StatusUnprocessableEntity}, unavailable...),
	}, a.clearRetained)
	add(a, operation{
		method: http.MethodPost, path: "/publish", id: "publish", summary: "Publish a message; the answer comes when it is safe", tag: tag, role: Operator,
		errors: append([]int{http.StatusUnprocessableEntity}, unavailable...),
	}, a.publish)
}

func (a *API) listTopics(_ context.Context, in *topicsInput) (*listOutput[topicLevel], error) {
	b, err := a.Broker()
	if err != nil {
		return nil, err
	}
	prefix := in.Prefix
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	levels, err := b.Levels(prefix)
	if err != nil {
		return nil, err
	}
	for in.After != "" && len(levels) > 0 && levels[0].Topic <= in.After {
		levels = levels[1:]
	}
	page := levels[:min(len(levels), in.limit())]
	out := listOf(mapped(page, levelOf))
	if len(page) < len(levels) {
		out.Body.Next = in.next("/topics", page[len(page)-1].Topic, "prefix", prefix)
	}
	return out, nil
}

func levelOf(l broker.Level) topicLevel {
	t := topicLevel{Name: l.Name, Topic: l.Topic, Below: l.Below}
	if l.Retained != nil {
		t.Retained = new(retainedOf(l.Retained))
	}
	return t
}

func (a *API) listRetained(_ context.Context, in *retainedInput) (*listOutput[retainedMessage], error) {
	b, err := a.Broker()
	if err != nil {
		return nil, err
	}
	filter := in.Filter
	if filter == "" {
		filter = "#"
	}
	found, more, err := b.Retained(filter, in.After, in.limit())
	if err != nil {
		return nil, err
	}
	out := listOf(mapped(found, retainedOf))
	if more {
		out.Body.Next = in.next("/retained", found[len(found)-1].Topic, "filter", in.Filter)
	}
	return out, nil
}

func (a *API) clearRetained(ctx context.Context, in *clearInput) (*struct{}, error) {
	if err := openTopic(in.Topic); err != nil {
		return nil, fault.New(fault.Invalid, "the topic %s", err.Message)
	}
	b, err := a.Broker()
	if err != nil {
		return nil, err
	}
	found, _, err := b.Retained(in.Topic, "", 1)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fault.New(fault.NotFound, "there is no retained message of this topic")
	}
	_, err = publishSafely(ctx, b, &mqtt.Message{Topic: in.Topic, Retain: true})
	return nil, err
}

// openTopic says why nobody may publish to a topic, nil when a person may.
func openTopic(topic string) *fault.Error {
	if err := mqtt.CheckName(topic); err != nil {
		return fault.At("/topic", fault.Invalid, "%v", err)
	}
	if strings.HasPrefix(topic, "$") {
		return fault.At("/topic", fault.Invalid, "must not begin with $: those are the broker's own")
	}
	return nil
}

func (a *API) publish(ctx context.Context, in *struct{ Body publishBody }) (*struct{ Body publishResult }, error) {
	m, err := in.Body.message()
	if err != nil {
		return nil, err
	}
	b, err := a.Broker()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	receivers, err := publishSafely(ctx, b, m)
	if err != nil {
		return nil, err
	}
	return &struct{ Body publishResult }{publishResult{Receivers: receivers, Milli: time.Since(start).Milliseconds()}}, nil
}

// message makes the message to publish, or tells all faults of the body.
func (p *publishBody) message() (*mqtt.Message, error) {
	var faults fault.List
	if f := openTopic(p.Topic); f != nil {
		faults = append(faults, f)
	}
	if len(p.Payload) > 0 && len(p.Base64) > 0 {
		faults.Add("/payload_base64", fault.Invalid, "can't stand beside payload")
	}
	m := &mqtt.Message{Topic: p.Topic, Payload: p.Base64, QoS: mqtt.QoS(p.QoS), Retain: p.Retain, Expiry: time.Duration(p.Expiry) * time.Second}
	if len(p.Payload) > 0 {
		var text string
		if json.Unmarshal(p.Payload, &text) == nil && p.Payload[0] == '"' {
			m.Payload = []byte(text)
		} else {
			m.Payload = p.Payload
		}
	}
	if p.ContentType != "" {
		m.Props = m.Props.AppendContentType(p.ContentType)
	}
	if p.ResponseTopic != "" {
		if f := openTopic(p.ResponseTopic); f != nil {
			faults.Add("/response_topic", f.Code, "%s", f.Message)
		} else if strings.HasSuffix(p.ResponseTopic, "/set") {
			faults.Add("/response_topic", fault.Invalid, "must not be a command topic: the answer would be a command itself")
		}
		m.Props = m.Props.AppendResponseTopic(p.ResponseTopic)
	}
	return m, faults.Err()
}

// publishSafely publishes and waits until the message is safe.
func publishSafely(ctx context.Context, b Broker, m *mqtt.Message) (receivers int, err error) {
	ctx, cancel := context.WithTimeout(ctx, publishPatience)
	defer cancel()
	safe := make(chan error, 1) // one send, whoever waits
	receivers, err = b.PublishCounted(ctx, m, func(err error) { safe <- err })
	if err == nil {
		select {
		case err = <-safe:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if ctx.Err() != nil {
		return 0, fault.New(fault.Unavailable, "the message was not safe within %s; the disk is slow or full", publishPatience)
	}
	return receivers, err
}
