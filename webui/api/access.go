package api

import (
	"context"
	"net/http"

	"fieldgate/broker/access"
)

func (a *API) addAccounts() {
	a.addSection(section{name: accountsSection, singular: "account", key: "username", read: Admin, write: Admin, schema: accountSchema(a)})
}

// accessQuestion asks what a client could do; what is missing in it is empty.
type accessQuestion struct {
	Username string        `json:"username,omitempty" maxLength:"65535" doc:"Empty for an anonymous client"`
	ClientID string        `json:"client_id,omitempty" maxLength:"65535" doc:"Stands for %c"`
	Action   access.Action `json:"action" doc:"read or write"`
	Topic    string        `json:"topic" doc:"A topic name; with read also a topic filter that is to be subscribed to"`
}

type accessAnswer struct {
	Allowed bool   `json:"allowed"`
	Rule    string `json:"rule" doc:"The id of the rule that decides; empty when no rule speaks of the topic"`
}

type accessOutput struct{ Body accessAnswer }

func (a *API) addAccessRules() {
	a.addSection(section{name: rulesSection, path: "access-rules", singular: "access-rule", key: "id", read: Admin, write: Admin, schema: ruleSchema(a)})
	add(a, operation{
		method: http.MethodPost, path: "/access-rules/check", id: "check-access", summary: "Whether a client could read or write a topic", tag: "access-rules",
		role: Admin, errors: []int{http.StatusUnprocessableEntity},
	}, func(_ context.Context, in *struct{ Body accessQuestion }) (*accessOutput, error) {
		b := in.Body
		answer, err := a.Access.Explain(access.Question{Client: access.Client{User: b.Username, ID: b.ClientID}, Action: b.Action, Topic: b.Topic})
		if err != nil {
			return nil, err
		}
		return &accessOutput{accessAnswer{answer.Allowed, answer.Rule}}, nil
	})
}
