package conformance

import "testing"

func TestEveryStatementForAServer_HasATestOrAReason(t *testing.T) {
	tables := statements(t)
	scripts(t, tables)
	goTests(t, tables)
	for _, v := range versions {
		for _, s := range tables[v.mark].list {
			switch {
			case s.bindsServer() && len(s.proofs) == 0 && s.reason == "":
				t.Errorf("%s %s has neither test nor reason: %s", v.mark, s.id, s.text)
			case len(s.proofs) > 0 && s.reason != "":
				t.Errorf("%s %s has a reason why it can't be shown, and a test that shows it", v.mark, s.id)
			}
		}
	}
}
