package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"fieldgate/broker"
	"fieldgate/broker/mqtt"
	"fieldgate/internal/fault"
)

// traffic is what one connection carried in one direction.
type traffic struct {
	Packets  int64 `json:"packets" doc:"Control packets"`
	Messages int64 `json:"messages" doc:"PUBLISH among them"`
	Bytes    int64 `json:"bytes"`
}

// departure is how a connection ended.
type departure struct {
	Time       time.Time `json:"time"`
	Cause      string    `json:"cause" doc:"In words"`
	ReasonCode int       `json:"reason_code" doc:"As 5.0 has it; 0 when none fits"`
	Clause     string    `json:"clause" doc:"The rule that a bad packet broke"`
	Detail     string    `json:"detail"`
}

// QueueState is what a session is owed.
type QueueState struct {
	QueuedMessages int64      `json:"queued_messages" doc:"What flies included"`
	QueuedBytes    int64      `json:"queued_bytes"`
	Oldest         *time.Time `json:"oldest" doc:"When the oldest was accepted; may be some minutes early"`
	Inflight       int        `json:"inflight" doc:"Sent at QoS 1 or 2 and not acknowledged"`
	Dropped        int64      `json:"dropped_messages" doc:"Given up since the broker's start: for a slow reader, a full queue, or a client's maximum packet size"`
}

// MQTTClient is one connection of a network client.
type MQTTClient struct {
	ClientID      string    `json:"client_id"`
	Username      string    `json:"username"`
	Certificate   string    `json:"certificate" doc:"The name in the client's certificate"`
	Address       string    `json:"address"`
	Listener      string    `json:"listener"`
	Protocol      string    `json:"protocol" enum:"3.1,3.1.1,5.0"`
	Since         time.Time `json:"since"`
	KeepAlive     int64     `json:"keep_alive_seconds" doc:"0 for none"`
	CleanStart    bool      `json:"clean_start"`
	SessionExpiry *int64    `json:"session_expiry_seconds" doc:"How long the session lives on without a connection; null for ever"`
	LastPacket    time.Time `json:"last_packet" doc:"When the last packet came"`
	Received      traffic   `json:"received"`
	Sent          traffic   `json:"sent"`
	UnsentBytes   int       `json:"unsent_bytes" doc:"Wait for a client that reads slowly"`
	Subscriptions int       `json:"subscription_count"`
	QueueState
	Last *departure `json:"last_disconnect" doc:"How its connection before ended; null when there was none since the start"`
}

// subscription is one topic filter of a session.
type subscription struct {
	Filter            string `json:"filter"`
	QoS               byte   `json:"qos"`
	NoLocal           bool   `json:"no_local"`
	RetainAsPublished bool   `json:"retain_as_published"`
	RetainHandling    byte   `json:"retain_handling"`
	ID                uint32 `json:"subscription_identifier" doc:"0 for none"`
}

type clientDetail struct {
	MQTTClient
	Subscriptions []subscription `json:"subscriptions" nullable:"false"`
}

// MQTTSession is one session, connected or not.
type MQTTSession struct {
	ClientID      string `json:"client_id"`
	InProcess     bool   `json:"in_process" doc:"Of a bridge or an uplink"`
	Durable       bool   `json:"durable" doc:"Keeps its queue without a connection and through restarts"`
	Connected     bool   `json:"connected"`
	Offline       int64  `json:"offline_seconds" doc:"Without a connection; time without power does not count"`
	SessionExpiry *int64 `json:"session_expiry_seconds" doc:"null for ever"`
	Subscriptions int    `json:"subscription_count"`
	QueueState
	Last *departure `json:"last_disconnect"`
}

type sessionDetail struct {
	MQTTSession
	Subscriptions []subscription `json:"subscriptions" nullable:"false"`
}

type clientsInput struct {
	Page
	Contains string `query:"contains" maxLength:"65535" doc:"Only client identifiers that hold this, whatever its case"`
}

type clientInput struct {
	ID string `path:"id"`
}

func (a *API) addClients() {
	const tag = "clients"
	missing := []int{http.StatusNotFound, http.StatusServiceUnavailable}
	add(a, operation{method: http.MethodGet, path: "/clients", id: "list-clients", summary: "The MQTT clients that are connected", tag: tag, role: Viewer, errors: missing[1:]}, a.listClients)
	add(a, operation{method: http.MethodGet, path: "/clients/{id}", id: "get-client", summary: "A connected MQTT client", tag: tag, role: Viewer, errors: missing}, a.getClient)
	add(a, operation{
		method: http.MethodPost, path: "/clients/{id}/disconnect", id: "disconnect-client", summary: "Disconnect an MQTT client; its session stays", tag: tag,
		role: Operator, status: http.StatusNoContent, errors: missing,
	}, func(ctx context.Context, in *clientInput) (*struct{}, error) {
		b, err := a.Broker()
		if err != nil {
			return nil, err
		}
		return nil, b.Disconnect(in.ID, requestOf(ctx).caller.name)
	})
	add(a, operation{method: http.MethodGet, path: "/sessions", id: "list-sessions", summary: "All MQTT sessions, connected or not", tag: tag, role: Viewer, errors: missing[1:]}, a.listSessions)
	add(a, operation{method: http.MethodGet, path: "/sessions/{id}", id: "get-mqtt-session", summary: "An MQTT session", tag: tag, role: Viewer, errors: missing}, a.getMQTTSession)
	add(a, operation{
		method: http.MethodDelete, path: "/sessions/{id}", id: "end-mqtt-session", summary: "End an MQTT session: connection, subscriptions and queue", tag: tag,
		role: Admin, status: http.StatusNoContent, errors: append([]int{http.StatusConflict}, missing...),
	}, func(ctx context.Context, in *clientInput) (*struct{}, error) {
		b, err := a.Broker()
		if err != nil {
			return nil, err
		}
		return nil, b.EndSession(ctx, in.ID, requestOf(ctx).caller.name)
	})
	add(a, operation{
		method: http.MethodGet, path: "/sessions/{id}/queue", id: "peek-queue", summary: "What a session is owed, oldest first; nothing is taken away", tag: tag,
		role: Viewer, errors: missing,
	}, a.peekQueue)
}

func (a *API) listClients(_ context.Context, in *clientsInput) (*listOutput[MQTTClient], error) {
	found, next, err := a.sessions("/clients", in, true)
	if err != nil {
		return nil, err
	}
	out := listOf(mapped(found, clientOf))
	out.Body.Next = next
	return out, nil
}

func (a *API) listSessions(_ context.Context, in *clientsInput) (*listOutput[MQTTSession], error) {
	found, next, err := a.sessions("/sessions", in, false)
	if err != nil {
		return nil, err
	}
	out := listOf(mapped(found, sessionOf))
	out.Body.Next = next
	return out, nil
}

// sessions gives a page of sessions and the path of the next one.
func (a *API) sessions(path string, in *clientsInput, connected bool) ([]broker.ClientInfo, *string, error) {
	b, err := a.Broker()
	if err != nil {
		return nil, nil, err
	}
	found, more := b.Sessions(broker.SessionQuery{Contains: in.Contains, Connected: connected, After: in.After, Limit: in.limit()})
	if !more {
		return found, nil, nil
	}
	return found, in.next(path, found[len(found)-1].ClientID, "contains", in.Contains), nil
}

// session gives one session.
func (a *API) session(id string) (broker.ClientInfo, error) {
	b, err := a.Broker()
	if err != nil {
		return broker.ClientInfo{}, err
	}
	i, found := b.Session(id)
	if !found {
		return i, fault.New(fault.NotFound, "there is no session with this client identifier")
	}
	return i, nil
}

func (a *API) getClient(_ context.Context, in *clientInput) (*struct{ Body clientDetail }, error) {
	i, err := a.session(in.ID)
	if err != nil || !i.Connected || i.InProcess {
		return nil, orElse(err, fault.New(fault.NotFound, "no client with this identifier is connected"))
	}
	return &struct{ Body clientDetail }{clientDetail{clientOf(i), mapped(i.Subscriptions, subscriptionOf)}}, nil
}

func (a *API) getMQTTSession(_ context.Context, in *clientInput) (*struct{ Body sessionDetail }, error) {
	i, err := a.session(in.ID)
	if err != nil {
		return nil, err
	}
	return &struct{ Body sessionDetail }{sessionDetail{sessionOf(i), mapped(i.Subscriptions, subscriptionOf)}}, nil
}

func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

func mapped[T, U any](from []T, to func(T) U) []U {
	list := make([]U, len(from))
	for i, v := range from {
		list[i] = to(v)
	}
	return list
}

func subscriptionOf(s mqtt.Subscription) subscription {
	return subscription{
		Filter: s.Filter, QoS: byte(s.QoS), NoLocal: s.NoLocal, RetainAsPublished: s.RetainAsPublished, RetainHandling: s.RetainHandling, ID: s.ID,
	}
}

func clientOf(i broker.ClientInfo) MQTTClient {
	return MQTTClient{
		ClientID: i.ClientID, Username: i.Username, Certificate: i.Certificate, Address: i.Remote, Listener: i.Listener, Protocol: protocolOf(i.Version),
		Since: utc(i.Since), KeepAlive: int64(i.KeepAlive.Seconds()), CleanStart: i.CleanStart, SessionExpiry: expirySeconds(i), LastPacket: utc(i.LastPacket),
		Received: traffic(i.Received), Sent: traffic(i.Sent), UnsentBytes: i.Unsent,
		Subscriptions: len(i.Subscriptions), QueueState: queueOf(i), Last: departureOf(i.Left),
	}
}

func sessionOf(i broker.ClientInfo) MQTTSession {
	return MQTTSession{
		ClientID: i.ClientID, InProcess: i.InProcess, Durable: i.Durable, Connected: i.Connected, Offline: int64(i.Offline.Seconds()),
		SessionExpiry: expirySeconds(i), Subscriptions: len(i.Subscriptions), QueueState: queueOf(i), Last: departureOf(i.Left),
	}
}

func queueOf(i broker.ClientInfo) QueueState {
	q := QueueState{QueuedMessages: i.Queue.Messages, QueuedBytes: i.Queue.Bytes, Inflight: i.Inflight, Dropped: i.Dropped}
	if !i.Queue.Oldest.IsZero() {
		q.Oldest = new(utc(i.Queue.Oldest))
	}
	return q
}

func departureOf(d *broker.Departure) *departure {
	if d == nil {
		return nil
	}
	return &departure{Time: utc(d.Time), Cause: d.Cause, ReasonCode: int(d.Reason), Clause: d.Clause, Detail: d.Detail}
}

// expirySeconds is how long the session lives on without a connection, nil for ever.
func expirySeconds(i broker.ClientInfo) *int64 {
	if i.Expiry == broker.NeverExpires {
		return nil
	}
	return new(int64(i.Expiry.Seconds()))
}

func protocolOf(v mqtt.Version) string {
	switch v {
	case mqtt.V31:
		return "3.1"
	case mqtt.V5:
		return "5.0"
	}
	return "3.1.1"
}

// utc gives a time as the interface shows it, to the millisecond.
func utc(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// pathOf escapes a word for a path.
func pathOf(word string) string { return url.PathEscape(word) }
