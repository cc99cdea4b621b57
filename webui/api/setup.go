package api

import (
	"context"
	"net/http"

	"fieldgate/internal/fault"
)

const setupGuesses = "setup code" // the throttle's key for guesses from all addresses

type setupState struct {
	Claimed      bool   `json:"claimed" doc:"Whether the gateway has an administrator"`
	CodeRequired bool   `json:"code_required" doc:"Whether the claim needs the setup code: not from this machine"`
	Hostname     string `json:"hostname"`
}

type claim struct {
	Code     string `json:"code,omitempty" maxLength:"32" doc:"The setup code, printed at install and by fieldgate setup-code"`
	Name     string `json:"name" maxLength:"256"`
	Password string `json:"password" maxLength:"1024"`
	Language string `json:"language,omitempty" doc:"en or zh-CN; en when missing"`
}

type setupCode struct {
	Code string `json:"code" doc:"As 1234-5678"`
}

func (a *API) addSetup() {
	add(a, operation{method: http.MethodGet, path: "/setup", id: "get-setup", summary: "Whether the gateway is claimed", tag: "setup", role: Open}, a.getSetup)
	add(a, operation{
		method: http.MethodPost, path: "/setup", id: "claim", summary: "Claim the gateway: make its first administrator and log in", tag: "setup",
		role: Open, status: http.StatusCreated, errors: []int{http.StatusConflict},
	}, a.claim)
	add(a, operation{
		method: http.MethodGet, path: "/setup/code", id: "get-setup-code", summary: "The setup code of an unclaimed gateway", tag: "setup",
		role: Admin, errors: []int{http.StatusNotFound},
	}, a.getSetupCode)
}

func (a *API) getSetup(ctx context.Context, _ *struct{}) (*struct{ Body setupState }, error) {
	claimed, err := a.people.claimed()
	if err != nil {
		return nil, err
	}
	state := setupState{Claimed: claimed, CodeRequired: !claimed && !fromThisMachine(requestOf(ctx)), Hostname: a.System().Hostname}
	return &struct{ Body setupState }{state}, nil
}

func (a *API) getSetupCode(ctx context.Context, _ *struct{}) (*struct{ Body setupCode }, error) {
	code, err := a.Store.Get(setupBucket, "code")
	if isNotFound(err) {
		return nil, fault.New(fault.NotFound, "the gateway is claimed; fieldgate user reset NAME gives a forgotten password anew")
	}
	return &struct{ Body setupCode }{setupCode{Code: string(code)}}, err
}

func (a *API) claim(ctx context.Context, in *struct{ Body claim }) (*loginOutput, error) {
	claimed, err := a.people.claimed()
	if err != nil {
		return nil, err
	}
	if claimed {
		return nil, fault.New(fault.Conflict, "the gateway has an administrator already; log in")
	}
	c := in.Body
	if c.Language == "" {
		c.Language = "en"
	}
	var faults fault.List
	if err := a.checkCode(ctx, &faults, c.Code); err != nil {
		return nil, err
	}
	checkName(&faults, "/name", c.Name)
	checkPassword(&faults, "/password", c.Password, c.Name)
	checkLanguage(&faults, "/language", c.Language)
	if err := faults.Err(); err != nil {
		return nil, err
	}
	u, err := a.people.claim(ctx, person{Name: c.Name, Role: Admin, Language: c.Language}, c.Password)
	if err != nil {
		return nil, err
	}
	a.log.Info("gateway claimed", "user", u.Name, "remote", requestOf(ctx).echo.RealIP())
	return a.openSession(ctx, u, http.StatusCreated)
}

// checkCode adds a fault when the setup code is needed and wrong; its error ends the claim.
func (a *API) checkCode(ctx context.Context, faults *fault.List, code string) error {
	r := requestOf(ctx)
	if fromThisMachine(r) {
		return nil
	}
	key := "setup " + addressKey(r.echo.RealIP())
	if code == "" {
		faults.Add("/code", fault.Required, "is required: it was printed at install, fieldgate setup-code tells it again")
		return nil
	}
	wait := a.throttle.try(key, maxFailures)
	if wait == 0 {
		wait = a.throttle.try(setupGuesses, guessesForCode)
	}
	if wait > 0 {
		return tooMany(wait, "too many wrong setup codes; wait, or claim the gateway from the machine itself")
	}
	right, err := a.people.rightCode(code)
	if err != nil || right {
		a.throttle.undo(key)
		a.throttle.undo(setupGuesses)
		return err
	}
	a.log.Warn("wrong setup code", "remote", r.echo.RealIP())
	faults.Add("/code", fault.Invalid, "is not the setup code; fieldgate setup-code tells it")
	return nil
}
