package storage_test

import (
	"encoding/base64"
	"regexp"
	"testing"

	"github.com/wiemu/wiemu/emulator/fault"
)

// The client is told what its next token must have; azcore wants quotes for that, unlike in
// the challenge of a request without a token.
func TestARevokedTokenIsChallenged(t *testing.T) {
	l := newLab(t, reader())
	f, err := fault.Parse("sessions-revoked,for.resource=storage,when.count=1")
	if err == nil {
		_, err = l.faults.Inject(f)
	}
	if err != nil {
		t.Fatal(err)
	}
	const address = "https://orders.blob.core.windows.net/inbox/hello.txt"
	token := l.token()
	for n := range 2 { // the revocation outlives the fault
		a := l.ask("GET", address, token, "")
		challenge := regexp.MustCompile(`^Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", error="insufficient_claims", claims="(.*)"$`).FindStringSubmatch(a.Header.Get("WWW-Authenticate"))
		if a.StatusCode != 401 || a.code() != "InvalidAuthenticationInfo" || challenge == nil {
			t.Fatalf("%d: %d %v %s", n, a.StatusCode, a.Header, a.text)
		}
		if claims, err := base64.StdEncoding.DecodeString(challenge[1]); err != nil || string(claims) != `{"access_token":{"nbf":{"essential":true, "value":"1930367167"}}}` {
			t.Errorf("%s, %v", claims, err)
		}
	}
	if a := l.ask("GET", address, "", ""); a.Header.Get("WWW-Authenticate") == "" || regexp.MustCompile("claims").MatchString(a.Header.Get("WWW-Authenticate")) {
		t.Errorf("without a token: %s", a.Header.Get("WWW-Authenticate"))
	}
	if a := l.ask("GET", address, "", "", "Authorization", "Bearer "+l.tokenOf(other, otherObject)); a.StatusCode != 403 {
		t.Errorf("somebody else: %d %s", a.StatusCode, a.text)
	}
}
