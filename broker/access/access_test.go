package access_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/broker/access"
	"fieldgate/broker/mqtt"
)

var (
	read  = []access.Action{access.Read}
	write = []access.Action{access.Write}
	both  = []access.Action{access.Read, access.Write}
)

// oracle decides in the simplest way: it goes through the levels, and puts the
// client's name in as a level that must be equal.
type oracle struct {
	rules    []access.Rule
	fallback bool
}

func (o oracle) may(c access.Client, a access.Action, topic string) bool {
	allowed := o.fallback
	for _, r := range o.rules {
		if r.Account != "" && r.Account != c.User {
			continue
		}
		if has(r.Deny, a) && matches(r.Filter, c, topic, true) {
			return false
		}
		if has(r.Allow, a) && matches(r.Filter, c, topic, false) {
			allowed = true
		}
	}
	return allowed
}

func has(list []access.Action, a access.Action) bool {
	for _, one := range list {
		if one == a {
			return true
		}
	}
	return false
}

// matches compares level by level; with a name that can't be a level, a denied
// filter matches everything from there on.
func matches(filter string, c access.Client, topic string, denied bool) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	if strings.HasPrefix(topic, "$") && strings.Trim(f[0], "+#") == "" {
		return false
	}
	for i, level := range f {
		if level == "#" {
			return len(t) >= i
		}
		if strings.Contains(level, "%") {
			name := c.User
			if strings.Contains(level, "%c") {
				name = c.ID
			}
			if name == "" || strings.ContainsAny(name, "/+#") || i == 0 && strings.HasPrefix(level, "%") && name[0] == '$' {
				if denied && i == 0 {
					return !strings.HasPrefix(topic, "$")
				}
				return denied && len(t) >= i
			}
			level = strings.NewReplacer("%u", name, "%c", name).Replace(level)
			if i >= len(t) || t[i] != level {
				return false
			}
			continue
		}
		if i >= len(t) || level != "+" && level != t[i] {
			return false
		}
	}
	return len(f) == len(t)
}

func rules() []access.Rule {
	return []access.Rule{
		{ID: "public", Filter: "public/#", Allow: read},
		{ID: "own", Filter: "site/%u/#", Allow: both},
		{ID: "no-secret", Filter: "site/+/secret", Deny: both},
		{ID: "inbox", Filter: "inbox/dev-%c", Allow: read},
		{ID: "own-lock", Filter: "site/%u/lock/%c", Deny: write},
		{ID: "root", Filter: "%u/x", Allow: both},
		{ID: "system", Account: "ops", Filter: "$SYS/#", Allow: read},
		{ID: "all", Account: "ops", Filter: "#", Allow: both},
		{ID: "no-public", Account: "ops", Filter: "public/+/top", Deny: read},
		{ID: "panel", Account: "panel", Filter: "fieldgate/+/+/set", Allow: write},
		{ID: "panel-sees", Account: "panel", Filter: "fieldgate/#", Allow: read},
	}
}

// who gives every user with every client identifier.
func who(yield func(access.Client) bool) {
	for _, user := range []string{"", "pump", "fan", "ops", "panel", "a/b", "+", "#", "a+", "$SYS", "%c", "%u", "site/pump"} {
		for _, id := range []string{"p1", "fan", "a/b", "#", "+", "$SYS", "%u"} {
			if !yield(access.Client{User: user, ID: id}) {
				return
			}
		}
	}
}

// attempts gives every action with every topic.
func attempts(yield func(access.Action, string) bool) {
	for _, topic := range []string{
		"public", "public/a", "public/a/top", "site", "site/pump", "site/pump/rpm", "site/pump/secret", "site/pump/lock/p1", "site/fan/rpm", "site/a/b/rpm", "site/+/rpm", "site/#",
		"inbox/dev-p1", "inbox/dev-", "inbox/dev-a/b", "inbox/dev-p1/x", "pump/x", "$SYS/x", "$SYS/broker/uptime", "fieldgate/m/power", "fieldgate/m/power/set", "/", "a", "%u/x", "site/%u/x",
	} {
		if !yield(access.Read, topic) || !yield(access.Write, topic) {
			return
		}
	}
}

func TestRights_EveryCellIsWhatTheOracleSays(t *testing.T) {
	cells := 0
	for _, d := range []access.Default{access.DenyWithRules, access.Deny, access.Allow} {
		policy, want := access.New(rules(), d), oracle{rules(), d == access.Allow}
		for client := range who {
			rights := policy.Rights(client)
			var cache access.Cache
			for action, topic := range attempts {
				cells++
				cell := fmt.Sprintf("default %q: %+v %s %s", d, client, action, topic)
				allowed := want.may(client, action, topic)
				require.Equal(t, allowed, rights.May(action, topic), cell)
				checkCache(t, &cache, rights, action, topic, allowed)
				if mqtt.CheckName(topic) == nil {
					answer, err := policy.Explain(access.Question{Client: client, Action: action, Topic: topic})
					require.NoError(t, err, cell)
					require.Equal(t, allowed, answer.Allowed, cell)
				}
			}
		}
	}
	require.Greater(t, cells, 10_000)
}

// checkCache asks twice: what is found, and what is remembered.
func checkCache(t *testing.T, cache *access.Cache, rights *access.Rights, action access.Action, topic string, allowed bool) {
	t.Helper()
	for range 2 {
		require.Equal(t, allowed, cache.May(rights, action, []byte(topic)), "%s %s", action, topic)
		require.Equal(t, allowed, cache.MayString(rights, action, topic), "%s %s", action, topic)
	}
}

func TestNew_WithoutRules(t *testing.T) {
	for _, c := range []struct {
		name    string
		d       access.Default
		allowed bool
	}{
		{"nothing said", access.DenyWithRules, true},
		{"allow", access.Allow, true},
		{"deny", access.Deny, false},
	} {
		rights := access.New(nil, c.d).Rights(access.Client{User: "a", ID: "b"})
		require.Equal(t, c.allowed, rights.May(access.Write, "t"), c.name)
		require.Equal(t, c.allowed, rights.MaySubscribe("#"), c.name)
		answer, err := access.New(nil, c.d).Explain(access.Question{Action: access.Read, Topic: "t"})
		require.NoError(t, err)
		require.Equal(t, access.Answer{Allowed: c.allowed}, answer, c.name)
	}
}

func TestMaySubscribe_AsksWhetherAnythingCouldCome(t *testing.T) {
	for _, c := range []struct {
		user, filter string
		want         bool
	}{
		{"pump", "#", true},
		{"pump", "public/#", true},
		{"pump", "public", true},
		{"pump", "+/a", true},
		{"pump", "site/pump/#", true},
		{"pump", "site/+/rpm", true},
		{"pump", "site/fan/rpm", false},
		{"pump", "site/pump/secret", false},
		{"pump", "site/+/secret", false},
		{"pump", "+/+/secret", true}, // public/x/secret
		{"pump", "home/#", false},
		{"pump", "$SYS/#", false},
		{"pump", "+", true}, // public
		{"", "inbox/#", true},
		{"", "inbox/dev-p2", false},
		{"ops", "$SYS/#", true},
		{"ops", "$SYS/broker/#", true},
		{"ops", "$other", false},
		{"ops", "public/+/top", false},
		{"ops", "public/a/top", false},
		{"ops", "public/#", true},
		{"panel", "fieldgate/m/power/set", true},
	} {
		rights := access.New(rules(), access.DenyWithRules).Rights(access.Client{User: c.user, ID: "p1"})
		require.Equal(t, c.want, rights.MaySubscribe(c.filter), "%s %s", c.user, c.filter)
	}
	all := access.New([]access.Rule{{ID: "x", Filter: "a/#", Deny: read}}, access.Allow).Rights(access.Client{})
	for filter, want := range map[string]bool{"#": true, "a/#": false, "a": false, "a/+/b": false, "+/b": true, "b": true} {
		require.Equal(t, want, all.MaySubscribe(filter), filter)
	}
}

func TestRule_SaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name string
		rule access.Rule
		want string
	}{
		{"no filter", access.Rule{Allow: read}, "/filter: is needed: a topic filter such as site/%u/#"},
		{"a filter that is none", access.Rule{Filter: "a/b#", Allow: read}, "/filter: must have # only alone in its last level"},
		{"a shared one", access.Rule{Filter: "$share/g/a", Allow: read}, "/filter: must be the filter behind $share/NAME/: rules are about topics"},
		{"a strange placeholder", access.Rule{Filter: "a/%n", Allow: read}, "/filter: must have % only in %u (user name), %c (client identifier) and %%"},
		{"half a placeholder", access.Rule{Filter: "a/%", Allow: read}, "/filter: must have % only in %u (user name), %c (client identifier) and %%"},
		{"too long", access.Rule{Filter: strings.Repeat("a", 1025), Allow: read}, "/filter: must have at most 1024 bytes"},
		{"too deep", access.Rule{Filter: strings.Repeat("/", 128), Allow: read}, "/filter: must have at most 128 levels"},
		{"an account", access.Rule{Account: "a\nb", Filter: "a", Allow: read}, "/account: must have at most 256 bytes and no control characters"},
		{"nothing to do", access.Rule{Filter: "a"}, "/allow: a rule must allow or deny something: [read], [write] or [read, write]"},
		{"a strange action", access.Rule{Filter: "a", Deny: []access.Action{"read", "all"}}, "/deny/1: must be read or write"},
		{"both ways", access.Rule{Filter: "a", Allow: both, Deny: write}, "/deny/0: write is allowed by the same rule"},
	} {
		require.EqualError(t, c.rule.Validate().Err(), c.want, c.name)
	}
	for _, filter := range []string{"#", "+/a", "%u", "%u/%c/#", "100%%", "a-%u-b/+"} {
		require.Empty(t, access.Rule{Filter: filter, Allow: read, Deny: write}.Validate(), filter)
	}
}

func TestPercent_StandsForItself(t *testing.T) {
	p := access.New([]access.Rule{{ID: "a", Filter: "load/100%%", Allow: read}, {ID: "b", Filter: "%%u/%u", Allow: read}}, access.Deny)
	rights := p.Rights(access.Client{User: "x"})
	require.True(t, rights.May(access.Read, "load/100%"))
	require.True(t, rights.May(access.Read, "%u/x"))
	require.False(t, rights.May(access.Read, "x/x"))
	p = access.New([]access.Rule{{ID: "a", Filter: "a%%/%u/b", Deny: read}}, access.Allow)
	require.False(t, p.Rights(access.Client{User: "x/y"}).May(access.Read, "a%/z"), "what any name could make of it stays denied")
}

func TestCache_ForgetsWithOtherRights(t *testing.T) {
	var cache access.Cache
	allow := access.New([]access.Rule{{ID: "a", Filter: "t", Allow: write}}, access.Deny).Rights(access.Client{})
	deny := access.New([]access.Rule{{ID: "a", Filter: "t", Deny: write}}, access.Deny).Rights(access.Client{})
	require.True(t, cache.May(allow, access.Write, []byte("t")))
	require.False(t, cache.May(deny, access.Write, []byte("t")))
	require.True(t, cache.May(allow, access.Write, []byte("t")))
	require.True(t, cache.May(nil, access.Write, []byte("u")))
	for n := range 10_000 { // far more than it holds
		require.False(t, cache.May(allow, access.Write, fmt.Appendf(nil, "u/%d", n)))
	}
	require.False(t, cache.May(allow, access.Write, []byte(strings.Repeat("u", 60_000))))
	require.True(t, cache.May(allow, access.Write, []byte("t")))
}

func TestExplain_NamesTheRule(t *testing.T) {
	p := access.New(rules(), access.DenyWithRules)
	for _, c := range []struct {
		user, topic string
		action      access.Action
		want        access.Answer
	}{
		{"pump", "site/pump/rpm", access.Write, access.Answer{Allowed: true, Rule: "own"}},
		{"pump", "site/pump/secret", access.Read, access.Answer{Rule: "no-secret"}},
		{"pump", "nowhere", access.Read, access.Answer{}},
		{"pump", "site/+/secret", access.Read, access.Answer{Rule: "no-secret"}},
		{"pump", "site/#", access.Read, access.Answer{Allowed: true, Rule: "own"}},
		{"a/b", "site/x/lock", access.Write, access.Answer{Rule: "own-lock"}},
	} {
		answer, err := p.Explain(access.Question{Client: access.Client{User: c.user, ID: "p1"}, Action: c.action, Topic: c.topic})
		require.NoError(t, err)
		require.Equal(t, c.want, answer, "%s %s", c.user, c.topic)
	}
}

// FuzzName shows that no name makes a rule's filter match more than the level that it stands in.
func FuzzName(f *testing.F) {
	for _, seed := range []struct{ filter, name, topic string }{
		{"site/%u/#", "pump", "site/pump/x"}, {"site/%u/#", "#", "site/x"}, {"%u", "$SYS", "$SYS"}, {"%u/#", "", "/x"}, {"a/%u%u", "+", "a/++"}, {"x%%%u", "%c", "x%%c"},
	} {
		f.Add(seed.filter, seed.name, seed.topic)
	}
	f.Fuzz(func(t *testing.T, filter, name, topic string) {
		rule := access.Rule{ID: "r", Filter: filter, Allow: both}
		if len(rule.Validate()) > 0 || mqtt.CheckName(topic) != nil {
			return
		}
		who := access.Client{User: name, ID: name}
		wide := access.New([]access.Rule{rule}, access.Deny).Rights(who)
		deny := rule
		deny.Allow, deny.Deny = nil, both
		narrow := access.New([]access.Rule{deny}, access.Allow).Rights(who)
		allowed, denied := wide.May(access.Read, topic), !narrow.May(access.Read, topic)
		if allowed {
			require.True(t, denied, "what is allowed by a filter is denied by the same filter")
			require.True(t, wide.MaySubscribe(topic))
			if strings.Contains(filter, "%u") || strings.Contains(filter, "%c") {
				require.NotEmpty(t, name)
				require.NotContains(t, name, "/")
				require.Contains(t, topic, name)
			}
		}
		other := access.New([]access.Rule{rule}, access.Deny).Rights(access.Client{User: "someone", ID: "someone"})
		levels := strings.Split(filter, "/")
		if allowed && !strings.Contains(topic, "someone") && strings.Contains(strings.ReplaceAll(levels[0], "%%", ""), "%") {
			require.False(t, other.May(access.Read, topic), "the topic belongs to its name")
		}
	})
}

func policyOf(n int) *access.Policy {
	var list []access.Rule
	for i := range n {
		filter := fmt.Sprintf("plant/%d/+/value", i)
		if i%10 == 0 {
			filter = fmt.Sprintf("plant/%d/%%u/#", i)
		}
		list = append(list, access.Rule{ID: fmt.Sprint("r", i), Filter: filter, Allow: both})
	}
	return access.New(list, access.DenyWithRules)
}

// BenchmarkMay is one decision: remembered, as on the hot path, and made anew.
func BenchmarkMay(b *testing.B) {
	topic := []byte("plant/0/pump/value")
	for _, n := range []int{1, 100} {
		rights := policyOf(n).Rights(access.Client{User: "pump", ID: "p"})
		b.Run(fmt.Sprintf("%d rules cached", n), func(b *testing.B) {
			var cache access.Cache
			b.ReportAllocs()
			for b.Loop() {
				if !cache.May(rights, access.Write, topic) {
					b.Fatal("denied")
				}
			}
		})
		b.Run(fmt.Sprintf("%d rules", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !rights.May(access.Write, "plant/0/pump/value") {
					b.Fatal("denied")
				}
			}
		})
	}
}

// BenchmarkRights is what a client that connects costs, and what a changed rule costs per client.
func BenchmarkRights(b *testing.B) {
	policy := policyOf(100)
	b.ReportAllocs()
	for b.Loop() {
		_ = policy.Rights(access.Client{User: "pump", ID: "p"})
	}
}
