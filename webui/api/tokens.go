package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"fieldgate/internal/fault"
)

type tokenEntry struct {
	ID      string    `json:"id"`
	Name    string    `json:"name" doc:"What it is for"`
	Role    Role      `json:"role" enum:"viewer,operator,admin"`
	Author  string    `json:"author" doc:"Who made it"`
	Created time.Time `json:"created"`
}

type newToken struct {
	Name string `json:"name" maxLength:"256" doc:"What it is for"`
	Role Role   `json:"role" doc:"viewer, operator or admin"`
}

type shownToken struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Role    Role      `json:"role" enum:"viewer,operator,admin"`
	Author  string    `json:"author"`
	Created time.Time `json:"created"`
	Token   string    `json:"token" doc:"The token itself; it is shown only here"`
}

type tokenOutput struct {
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     shownToken
}

type tokenEntryOutput struct {
	ETag string `header:"ETag"`
	Body tokenEntry
}

type idInput struct {
	ID string `path:"id"`
}

type idChange struct {
	ID      string `path:"id"`
	IfMatch string `header:"If-Match" doc:"The ETag that GET gave, or *"`
}

func (a *API) addTokens() {
	const tag = "tokens"
	add(a, operation{method: http.MethodGet, path: "/tokens", id: "list-tokens", summary: "All API tokens", tag: tag, role: Admin}, a.listTokens)
	add(a, operation{
		method: http.MethodPost, path: "/tokens", id: "create-token", summary: "Make an API token; the answer is the only place that shows it",
		tag: tag, role: Admin, status: http.StatusCreated, errors: []int{http.StatusConflict},
	}, a.createToken)
	add(a, operation{
		method: http.MethodGet, path: "/tokens/{id}", id: "get-token", summary: "An API token without its secret", tag: tag, role: Admin,
		errors: []int{http.StatusNotFound},
	}, a.getToken)
	add(a, operation{
		method: http.MethodDelete, path: "/tokens/{id}", id: "delete-token", summary: "Revoke an API token", tag: tag, role: Admin,
		status: http.StatusNoContent, errors: []int{http.StatusNotFound, http.StatusPreconditionFailed, http.StatusPreconditionRequired},
	}, a.deleteToken)
}

func (a *API) listTokens(ctx context.Context, _ *struct{}) (*listOutput[tokenEntry], error) {
	all, err := loadAll[token](a.Store, tokenBucket)
	if err != nil {
		return nil, err
	}
	entries := make([]tokenEntry, 0, len(all))
	for _, t := range all {
		entries = append(entries, tokenEntry(t))
	}
	slices.SortFunc(entries, func(a, b tokenEntry) int { return a.Created.Compare(b.Created) })
	return listOf(entries), nil
}

func (a *API) createToken(ctx context.Context, in *struct{ Body newToken }) (*tokenOutput, error) {
	var faults fault.List
	checkName(&faults, "/name", in.Body.Name)
	checkRole(&faults, "/role", in.Body.Role)
	if err := faults.Err(); err != nil {
		return nil, err
	}
	all, err := a.Store.List(tokenBucket)
	if err != nil {
		return nil, err
	}
	if len(all) >= maxTokens {
		return nil, fault.New(fault.Conflict, "there are %d tokens already; revoke one", maxTokens)
	}
	t := token{
		ID: strings.ToLower(rand.Text()[:12]), Name: in.Body.Name, Role: in.Body.Role,
		Author: requestOf(ctx).caller.name, Created: time.Now().UTC(),
	}
	text := tokenPrefix + secret()
	if err := save(a.Store, tokenBucket, hashed(text), t); err != nil {
		return nil, err
	}
	a.log.Info("token made", "token", t.ID, "author", t.Author)
	return &tokenOutput{Location: Prefix + "/tokens/" + t.ID, ETag: tokenTag(t), Body: shownToken{ID: t.ID, Name: t.Name, Role: t.Role, Author: t.Author, Created: t.Created, Token: text}}, nil
}

func (a *API) getToken(ctx context.Context, in *idInput) (*tokenEntryOutput, error) {
	_, t, err := a.findToken(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &tokenEntryOutput{ETag: tokenTag(t), Body: tokenEntry(t)}, nil
}

func (a *API) deleteToken(ctx context.Context, in *idChange) (*struct{}, error) {
	key, t, err := a.findToken(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := checkMatch(in.IfMatch, tokenTag(t)); err != nil {
		return nil, err
	}
	a.log.Info("token revoked", "token", t.ID, "author", requestOf(ctx).caller.name)
	return nil, a.Store.Delete(tokenBucket, key)
}

func (a *API) findToken(ctx context.Context, id string) (key string, t token, err error) {
	all, err := loadAll[token](a.Store, tokenBucket)
	if err != nil {
		return "", token{}, err
	}
	for key, t := range all {
		if t.ID == id {
			return key, t, nil
		}
	}
	return "", token{}, fault.New(fault.NotFound, "there is no token of that id")
}

func tokenTag(t token) string {
	b, err := json.Marshal(t)
	if err != nil {
		return ""
	}
	return etag(b)
}
