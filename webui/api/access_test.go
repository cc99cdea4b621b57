package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAccessRules_AreObjectsLikeOthers(t *testing.T) {
	anna := newHouse(t).login("anna")
	made := anna.send("POST", "/access-rules", `{"id":"no-relay","account":"panel","filter":"fieldgate/+/+/set","deny":["write"]}`).want(201)
	require.Equal(t, "/api/v1/access-rules/no-relay", made.header.Get("Location"))
	anna.send("POST", "/access-rules", `{"id":"no-relay","filter":"a","deny":["write"]}`).want(409)
	anna.send("PATCH", "/access-rules/no-relay", `{"account":null}`, "If-Match", made.header.Get("ETag")).want(200)
	require.JSONEq(t, `{"id":"no-relay","filter":"fieldgate/+/+/set","deny":["write"]}`, anna.send("GET", "/access-rules/no-relay", "").want(200).body)
	anna.send("DELETE", "/access-rules/no-relay", "").want(428)
	anna.send("DELETE", "/access-rules/no-relay", "", "If-Match", "*").want(204)
	anna.send("GET", "/access-rules/no-relay", "").want(404)
}

func TestAccessRules_CheckTellsWhichRuleDecides(t *testing.T) {
	anna := newHouse(t).login("anna")
	for _, c := range []struct {
		name, question, answer string
	}{
		{"its own topic", `{"username":"pump","action":"write","topic":"site/pump/rpm"}`, `{"allowed":true,"rule":"own"}`},
		{"another's topic", `{"username":"pump","client_id":"x","action":"read","topic":"site/fan/rpm"}`, `{"allowed":false,"rule":""}`},
		{"a filter that is wider", `{"username":"pump","action":"read","topic":"site/#"}`, `{"allowed":true,"rule":"own"}`},
		{"a filter beside it", `{"username":"pump","action":"read","topic":"home/#"}`, `{"allowed":false,"rule":""}`},
		{"nobody", `{"action":"read","topic":"site/pump/rpm"}`, `{"allowed":false,"rule":""}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.JSONEq(t, c.answer, anna.send("POST", "/access-rules/check", c.question).want(200).body)
		})
	}
	a := anna.send("POST", "/access-rules/check", `{"action":"subscribe","topic":"a/#/b"}`).want(422)
	require.Equal(t, []string{"/action invalid", "/topic invalid"}, a.pointers())
	a = anna.send("POST", "/access-rules/check", `{"action":"write","topic":"a/#"}`).want(422)
	require.Equal(t, []string{"/topic invalid"}, a.pointers())
}
