package bridges

import "context"

// Identity is what a device says about itself; what it does not say is empty.
type Identity struct {
	Vendor   string `json:"vendor"`
	Product  string `json:"product"`
	Revision string `json:"revision"`
}

type identitiesKey struct{}

// WithIdentities gives a context for a Test that wants to know what the devices say about themselves. told is called
// for each that says something, from one goroutine, before Test returns.
func WithIdentities(ctx context.Context, told func(device string, id Identity)) context.Context {
	return context.WithValue(ctx, identitiesKey{}, told)
}

// TellIdentity is for a Tester: it passes on what a device says about itself. wanted is false, and
// nothing need be asked, when nobody listens.
func TellIdentity(ctx context.Context) (tell func(device string, id Identity), wanted bool) {
	tell, wanted = ctx.Value(identitiesKey{}).(func(device string, id Identity))
	return tell, wanted
}
