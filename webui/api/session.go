package api

import (
	"context"
	"net/http"

	"fieldgate/internal/fault"
)

const sessionCookie = "fg_session"

type user struct {
	Name     string `json:"name"`
	Role     Role   `json:"role" enum:"viewer,operator,admin"`
	Language string `json:"language" enum:"en,zh-CN"`
}

func userOf(u person) user { return user{Name: u.Name, Role: u.Role, Language: u.Language} }

type loginOutput struct {
	Status    int
	SetCookie string `header:"Set-Cookie"`
	Body      struct {
		User user `json:"user"`
	}
}

type userOutput struct {
	Body struct {
		User user `json:"user"`
	}
}

type logoutOutput struct {
	SetCookie string `header:"Set-Cookie"`
}

type credentials struct {
	Name     string `json:"name" maxLength:"256"`
	Password string `json:"password" maxLength:"1024"`
}

type ownChange struct {
	Language        string `json:"language,omitempty" doc:"en or zh-CN"`
	CurrentPassword string `json:"current_password,omitempty" maxLength:"1024" doc:"Needed for a new password"`
	Password        string `json:"password,omitempty" maxLength:"1024" doc:"The new password; ends all other sessions"`
}

func (a *API) addSession() {
	add(a, operation{
		method: http.MethodPost, path: "/session", id: "login", summary: "Log in", tag: "session", role: Open,
		errors: []int{http.StatusUnauthorized},
	}, a.login)
	add(a, operation{method: http.MethodGet, path: "/session", id: "get-session", summary: "Who is logged in", tag: "session", role: Viewer}, a.getSession)
	add(a, operation{
		method: http.MethodPatch, path: "/session", id: "change-session", summary: "Change one's own language or password", tag: "session",
		role: Viewer, errors: []int{http.StatusNotFound},
	}, a.changeSession)
	add(a, operation{method: http.MethodDelete, path: "/session", id: "logout", summary: "Log out", tag: "session", role: Viewer, status: http.StatusNoContent}, a.logout)
}

func (a *API) login(ctx context.Context, in *struct{ Body credentials }) (*loginOutput, error) {
	u, err := a.checkPerson(ctx, in.Body.Name, in.Body.Password)
	if err != nil {
		return nil, err
	}
	a.noteLogin(ctx, u.Name, u.Role, loginDone)
	return a.openSession(ctx, u, http.StatusOK)
}

// checkPerson checks a name and password under the limit of failures per address.
func (a *API) checkPerson(ctx context.Context, name, password string) (person, error) {
	remote := requestOf(ctx).echo.RealIP()
	key := "login " + addressKey(remote)
	if wait := a.throttle.try(key, maxFailures); wait > 0 {
		return person{}, tooMany(wait, "too many wrong passwords from this address; wait")
	}
	u, err := a.people.check(ctx, name, password)
	if err == nil || fault.CodeOf(err) != fault.Unauthorized {
		a.throttle.undo(key)
		return u, err
	}
	a.log.Warn("login refused", "remote", remote)
	known, _ := a.people.get(name) // nobody, or nothing that can be read: the entry has no name
	a.noteLogin(ctx, known.Name, "", loginRefused)
	return person{}, err
}

func (a *API) openSession(ctx context.Context, u person, status int) (*loginOutput, error) {
	value, err := a.people.login(u)
	if err != nil {
		return nil, err
	}
	out := &loginOutput{Status: status, SetCookie: cookie(ctx, value, int(sessionLife.Seconds()))}
	out.Body.User = userOf(u)
	return out, nil
}

// cookie makes the header of the session's cookie; maxAge is in seconds, negative removes it.
func cookie(ctx context.Context, value string, maxAge int) string {
	c := http.Cookie{
		Name: sessionCookie, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true,
		SameSite: http.SameSiteStrictMode, Secure: requestOf(ctx).echo.Request().TLS != nil,
	}
	return c.String()
}

func (a *API) getSession(ctx context.Context, _ *struct{}) (*userOutput, error) {
	u, err := a.me(ctx)
	if err != nil {
		return nil, err
	}
	out := &userOutput{}
	out.Body.User = u
	return out, nil
}

// me is who calls; a token and the machine's administrator have no entry among the people.
func (a *API) me(ctx context.Context) (user, error) {
	who := requestOf(ctx).caller
	if who.session == "" {
		return user{Name: who.name, Role: who.role, Language: "en"}, nil
	}
	u, err := a.people.get(who.name)
	return userOf(u), err
}

func (a *API) changeSession(ctx context.Context, in *struct{ Body ownChange }) (*loginOutput, error) {
	who, c := requestOf(ctx).caller, in.Body
	if who.session == "" {
		return nil, fault.New(fault.NotFound, "only a logged in person has a language and a password")
	}
	var faults fault.List
	if c.Language != "" {
		checkLanguage(&faults, "/language", c.Language)
	}
	if c.Password != "" {
		checkPassword(&faults, "/password", c.Password, who.name)
		if _, err := a.checkPerson(ctx, who.name, c.CurrentPassword); fault.CodeOf(err) == fault.Unauthorized {
			faults.Add("/current_password", fault.Invalid, "is not the present password")
		} else if err != nil {
			return nil, err
		}
	}
	if err := faults.Err(); err != nil {
		return nil, err
	}
	u, err := a.changePerson(ctx, who.name, personChange{Language: &c.Language, Password: &c.Password}, nil)
	if err != nil {
		return nil, err
	}
	if c.Password != "" { // the present session is over with all others
		return a.openSession(ctx, u, http.StatusOK)
	}
	out := &loginOutput{Status: http.StatusOK}
	out.Body.User = userOf(u)
	return out, nil
}

func (a *API) logout(ctx context.Context, _ *struct{}) (*logoutOutput, error) {
	who := requestOf(ctx).caller
	if who.session != "" {
		if err := a.people.logout(who.session); err != nil {
			return nil, err
		}
	}
	return &logoutOutput{SetCookie: cookie(ctx, "", -1)}, nil
}
