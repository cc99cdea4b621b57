package api_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"fieldgate/webui/api"
)

// The examples of RFC 7396 appendix A, those that patch objects.
var mergePatches = []struct{ target, patch, want string }{
	{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
	{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
	{`{"a":"b"}`, `{"a":null}`, `{}`},
	{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
	{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
	{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
	{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
	{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
	{`["a","b"]`, `["c","d"]`, `["c","d"]`},
	{`{"a":"b"}`, `["c"]`, `["c"]`},
	{`{"a":"foo"}`, `null`, `null`},
	{`{"a":"foo"}`, `"bar"`, `"bar"`},
	{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
	{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
	{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
}

func TestMergePatch_FollowsTheRFC(t *testing.T) {
	for _, row := range mergePatches {
		t.Run(row.target+row.patch, func(t *testing.T) {
			require.Equal(t, row.want, string(api.MergePatch(json.RawMessage(row.target), json.RawMessage(row.patch))))
		})
	}
}

func FuzzMergePatch(f *testing.F) {
	for _, row := range mergePatches {
		f.Add(row.target, row.patch)
	}
	f.Fuzz(func(t *testing.T, target, patch string) {
		if !json.Valid([]byte(target)) || api.ParseBody([]byte(patch)) != nil {
			t.Skip()
		}
		once := api.MergePatch(json.RawMessage(target), json.RawMessage(patch))
		require.True(t, json.Valid(once), string(once))
		twice := api.MergePatch(once, json.RawMessage(patch))
		require.Equal(t, api.ETag(once), api.ETag(twice), "a patch that was applied changes nothing")
		same := api.MergePatch(once, json.RawMessage(`{}`))
		require.Equal(t, api.ETag(once), api.ETag(same))
	})
}

func TestETag_IsThatOfTheMeaning(t *testing.T) {
	require.Equal(t, api.ETag(json.RawMessage(`{"a":1,"b":[1,2]}`)), api.ETag(json.RawMessage("{ \"b\":[1,2],\n\"a\":1}")))
	require.NotEqual(t, api.ETag(json.RawMessage(`{"a":18446744073709551615}`)), api.ETag(json.RawMessage(`{"a":18446744073709551614}`)))
}
