package api

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"fieldgate/bridges"
)

// The objects of the managed settings are judged by the part that they are for;
// here stands what all of them have in common, for the description.

func schemaOf[T any](a *API) *huma.Schema {
	return a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, "")
}

// shared puts a schema among the components and gives the reference to it.
func shared(a *API, name string, s *huma.Schema) *huma.Schema {
	a.huma.OpenAPI().Components.Schemas.Map()[name] = s
	return &huma.Schema{Ref: "#/components/schemas/" + name}
}

func text(words string) *huma.Schema { return &huma.Schema{Type: huma.TypeString, Description: words} }

func flag(words string) *huma.Schema { return &huma.Schema{Type: huma.TypeBoolean, Description: words} }

func someObject(words string) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, Description: words, AdditionalProperties: true}
}

func objects(words string) *huma.Schema {
	return &huma.Schema{Type: huma.TypeArray, Description: words, Items: someObject("")}
}

func settings(words string, required []string, properties map[string]*huma.Schema) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, Description: words, Required: required, Properties: properties, AdditionalProperties: true}
}

func readOnly(s *huma.Schema) *huma.Schema {
	s.ReadOnly = true
	return s
}

func writeOnly(s *huma.Schema) *huma.Schema {
	s.WriteOnly = true
	return s
}

func bridgeSchema(a *API) *huma.Schema {
	return shared(a, "Bridge", settings("A bridge: one serial port or one host. Its kind says what else it reads.", []string{"id", "kind"}, map[string]*huma.Schema{
		"id":      text("Unique among the bridges"),
		"kind":    text("See /bridge-kinds"),
		"enabled": flag("false pauses it; true when missing"),
		"link":    someObject("serial or tcp"),
		"timeout": text("Of one request: 500ms"),
		"devices": objects("The devices on it; see /devices"),
		"status":  readOnly(someObject("What it does now")),
	}))
}

func deviceSchema(a *API) *huma.Schema {
	return shared(a, "Device", settings("A device on a bridge.", []string{"id", "bridge"}, map[string]*huma.Schema{
		"id":       text("Unique in the gateway"),
		"bridge":   text("The id of its bridge; can't change"),
		"enabled":  flag("false leaves it out; true when missing"),
		"interval": text("Between two polls: 1s"),
		"topic":    text("fieldgate/<id> when missing"),
		"points":   objects("Its points"),

		"home_assistant": flag("Announces it to Home Assistant, or not; as the switch for all when missing"),
		"status":         readOnly(someObject("What it does now: state, since, reason")),
	}))
}

func uplinkSchema(a *API) *huma.Schema {
	return shared(a, "Uplink", settings("An uplink to a cloud's broker.", []string{"id", "url"}, map[string]*huma.Schema{
		"id":           text("Unique among the uplinks; its queue hangs on it"),
		"url":          text("mqtt://host:1883, mqtts://, ws:// or wss://"),
		"enabled":      flag("false pauses it; true when missing"),
		"client_id":    text("Client identifier towards the cloud"),
		"username":     text(""),
		"password":     writeOnly(text("A new password; null in a PATCH removes it")),
		"password_set": flag("Whether a password is kept; false removes it"),
		"tls":          someObject("ca_file, cert_file, key_file, server_name, alpn"),
		"out":          objects("What goes to the cloud: filter, qos, local_prefix, remote_prefix"),
		"in":           objects("What comes from the cloud"),
		"queue":        someObject("Limits of the queue"),
		"status":       readOnly(someObject("What it does now, with what its queue holds")),
	}))
}

func accountSchema(a *API) *huma.Schema {
	return shared(a, "Account", settings("A login of MQTT clients.", []string{"username"}, map[string]*huma.Schema{
		"username":     text("Unique among the accounts"),
		"enabled":      flag("false refuses it; true when missing"),
		"password":     writeOnly(text("A new password")),
		"password_set": flag("Whether a password is kept; false removes it"),
	}))
}

func ruleSchema(a *API) *huma.Schema {
	actions := func(words string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeArray, Description: words, Items: &huma.Schema{Type: huma.TypeString, Enum: []any{"read", "write"}}}
	}
	return shared(a, "AccessRule", settings("Topics that MQTT clients may or may not read and write. Deny wins.", []string{"id", "filter"}, map[string]*huma.Schema{
		"id":      text("Unique among the access rules"),
		"account": text("A user name; everybody, anonymous clients too, when missing"),
		"filter":  text("A topic filter; %u is the user name, %c the client identifier, %% a %"),
		"allow":   actions("What is allowed"),
		"deny":    actions("What is denied, whatever other rules allow"),
	}))
}

func listSchema(item *huma.Schema) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, Required: []string{"items", "next"},
		Properties: map[string]*huma.Schema{
			"items": {Type: huma.TypeArray, Items: item},
			"next":  {Type: huma.TypeString, Nullable: true, Description: "Where the next page is; null on the last"},
		},
	}
}

// bridgeValue is a bridges.Value with a description: a number, a bool, a text or null.
type bridgeValue struct{ bridges.Value }

// Schema says that it may be anything.
func (bridgeValue) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Description: "A number, true, false or a text; null when the quality is bad"}
}
