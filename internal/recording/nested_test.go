package recording

import (
	"fmt"
	"strings"
	"testing"
)

// A token can hold another one, but neither itself nor one that holds it.
func TestTokensInsideOfThemselvesAreRefused(t *testing.T) {
	const file = `{"apiVersion": "wiemu.dev/v1", "kind": "Recording", "start": "2026-01-05T08:00:00Z", "length": "1s",
"tokens": [%s], "inputs": []}`
	token := func(id, claim string) string {
		return fmt.Sprintf(`{"id": %q, "header": {"alg": "RS256"}, "claims": {"inner": %q}, "signedBy": "local 1"}`, id, claim)
	}
	for name, tokens := range map[string]string{
		"itself":     token("5.1", "{{token 5.1}}"),
		"each other": token("5.1", "{{token 5.2}}") + "," + token("5.2", "{{token 5.1}}"),
	} {
		_, err := Parse(name+".json", fmt.Appendf(nil, file, tokens))
		if err == nil || !strings.Contains(err.Error(), "tokens[0].claims: expected a token that is listed before this one") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := Parse("fine.json", fmt.Appendf(nil, file, token("5.1", "a")+","+token("5.2", "{{token 5.1}}")))
	if err != nil && strings.Contains(err.Error(), "tokens[") {
		t.Errorf("one in another: %v", err)
	}
}
