package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"fieldgate/internal/fault"
)

// userEntry is a person as an administrator sees it.
type userEntry struct {
	Name     string    `json:"name"`
	Role     Role      `json:"role" enum:"viewer,operator,admin"`
	Language string    `json:"language" enum:"en,zh-CN"`
	Created  time.Time `json:"created"`
}

func entryOf(u person) userEntry {
	return userEntry{Name: u.Name, Role: u.Role, Language: u.Language, Created: u.Created}
}

type newUser struct {
	Name     string `json:"name" maxLength:"256"`
	Password string `json:"password" maxLength:"1024" doc:"At least 8 characters"`
	Role     Role   `json:"role" doc:"viewer, operator or admin"`
	Language string `json:"language,omitempty" doc:"en or zh-CN; en when missing"`
}

// userBody is the body of PUT and PATCH; what is missing stays, for PUT too: a password can't be read back.
type userBody struct {
	Name     string     `json:"name,omitempty" doc:"Can't change"`
	Role     Role       `json:"role,omitempty"`
	Language string     `json:"language,omitempty"`
	Password string     `json:"password,omitempty" maxLength:"1024" doc:"A new password; ends the person's sessions"`
	Created  *time.Time `json:"created,omitempty" readOnly:"true" doc:"Not read"`
}

// personChange is what to change; nil and "" stay.
type personChange struct {
	Role     *Role
	Language *string
	Password *string
}

type entryOutput struct {
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     userEntry
}

type namedInput struct {
	Name string `path:"name"`
}

type namedChange struct {
	Name    string `path:"name"`
	IfMatch string `header:"If-Match" doc:"The ETag that GET gave, or *"`
}

type namedBody struct {
	Name    string `path:"name"`
	IfMatch string `header:"If-Match" doc:"The ETag that GET gave, or *"`
	Body    userBody
}

func (a *API) addUsers() {
	const tag = "users"
	change := []int{http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed, http.StatusPreconditionRequired}
	add(a, operation{method: http.MethodGet, path: "/users", id: "list-users", summary: "All people", tag: tag, role: Admin}, a.listUsers)
	add(a, operation{
		method: http.MethodPost, path: "/users", id: "create-user", summary: "Add a person", tag: tag, role: Admin,
		status: http.StatusCreated, errors: []int{http.StatusConflict},
	}, a.createUser)
	add(a, operation{
		method: http.MethodGet, path: "/users/{name}", id: "get-user", summary: "A person", tag: tag, role: Admin,
		errors: []int{http.StatusNotFound},
	}, a.getUser)
	add(a, operation{method: http.MethodPut, path: "/users/{name}", id: "put-user", summary: "Change a person", tag: tag, role: Admin, errors: change}, a.putUser)
	add(a, operation{method: http.MethodPatch, path: "/users/{name}", id: "patch-user", summary: "Change a person in part", tag: tag, role: Admin, errors: change}, a.putUser)
	add(a, operation{
		method: http.MethodDelete, path: "/users/{name}", id: "delete-user", summary: "Remove a person", tag: tag, role: Admin,
		status: http.StatusNoContent, errors: change,
	}, a.deleteUser)
}

func (a *API) listUsers(ctx context.Context, _ *struct{}) (*listOutput[userEntry], error) {
	all, err := loadAll[person](a.Store, userBucket)
	if err != nil {
		return nil, err
	}
	entries := make([]userEntry, 0, len(all))
	for _, u := range all {
		entries = append(entries, entryOf(u))
	}
	slices.SortFunc(entries, func(a, b userEntry) int { return strings.Compare(a.Name, b.Name) })
	return listOf(entries), nil
}

func (a *API) createUser(ctx context.Context, in *struct{ Body newUser }) (*entryOutput, error) {
	n := in.Body
	if n.Language == "" {
		n.Language = "en"
	}
	var faults fault.List
	checkName(&faults, "/name", n.Name)
	checkPassword(&faults, "/password", n.Password, n.Name)
	checkRole(&faults, "/role", n.Role)
	checkLanguage(&faults, "/language", n.Language)
	if err := faults.Err(); err != nil {
		return nil, err
	}
	u, err := a.people.create(ctx, person{Name: n.Name, Role: n.Role, Language: n.Language}, n.Password)
	if err != nil {
		return nil, err
	}
	a.log.Info("person added", "user", u.Name, "author", requestOf(ctx).caller.name)
	out := entryOutputOf(u)
	out.Location = Prefix + "/users/" + url.PathEscape(u.Name)
	return out, nil
}

func (a *API) getUser(ctx context.Context, in *namedInput) (*entryOutput, error) {
	u, err := a.people.get(in.Name)
	if err != nil {
		return nil, err
	}
	return entryOutputOf(u), nil
}

func (a *API) putUser(ctx context.Context, in *namedBody) (*entryOutput, error) {
	b := in.Body
	var faults fault.List
	if b.Name != "" && b.Name != in.Name {
		faults.Add("/name", fault.Invalid, "can't change; add the person anew")
	}
	if b.Role != "" {
		checkRole(&faults, "/role", b.Role)
	}
	if b.Language != "" {
		checkLanguage(&faults, "/language", b.Language)
	}
	if b.Password != "" {
		checkPassword(&faults, "/password", b.Password, in.Name)
	}
	if err := faults.Err(); err != nil {
		return nil, err
	}
	u, err := a.changePerson(ctx, in.Name, personChange{Role: &b.Role, Language: &b.Language, Password: &b.Password}, matches(in.IfMatch))
	if err != nil {
		return nil, err
	}
	return entryOutputOf(u), nil
}

func (a *API) deleteUser(ctx context.Context, in *namedChange) (*struct{}, error) {
	if err := a.people.remove(in.Name, matches(in.IfMatch)); err != nil {
		return nil, err
	}
	a.log.Info("person removed", "user", in.Name, "author", requestOf(ctx).caller.name)
	return nil, nil
}

// changePerson applies a checked change. allowed may refuse it, nil allows it.
func (a *API) changePerson(ctx context.Context, name string, c personChange, allowed func(person) error) (person, error) {
	var hash string
	if c.Password != nil && *c.Password != "" {
		var err error
		if hash, err = a.people.hash(ctx, *c.Password); err != nil {
			return person{}, err
		}
	}
	return a.people.change(name, func(u *person) error {
		if allowed != nil {
			if err := allowed(*u); err != nil {
				return err
			}
		}
		if c.Role != nil && *c.Role != "" {
			u.Role = *c.Role
		}
		if c.Language != nil && *c.Language != "" {
			u.Language = *c.Language
		}
		if hash != "" {
			u.Hash, u.Epoch = hash, secret()
		}
		return nil
	})
}

func matches(ifMatch string) func(person) error {
	return func(u person) error { return checkMatch(ifMatch, entryTag(u)) }
}

func entryOutputOf(u person) *entryOutput { return &entryOutput{ETag: entryTag(u), Body: entryOf(u)} }

// entryTag changes with the password too, though nobody can read that.
func entryTag(u person) string {
	b, err := json.Marshal(u)
	if err != nil {
		return ""
	}
	return etag(b)
}
