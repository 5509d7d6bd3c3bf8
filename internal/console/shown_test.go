package console_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/session"
)

// What an app registration proves itself with is shown by a hint: the browser has neither a
// secret, nor a certificate, nor the whole thumbprint.
func TestSecretsAndCertificatesOfAnAppAreShownByHint(t *testing.T) {
	t.Parallel()
	const app, secret = "6f9f6a0e-5c0c-4d5e-9a39-2f4c8f5b7f11", "Qz7-not-a-real-secret"
	s := labOf(t, func(o *session.Options) {
		o.Emulator.Config.Applications = []config.Application{{Principal: config.Principal{Name: "orders-api", ClientID: app}}}
	})
	der := certificateOf(t, "orders-api")
	if err := s.Emulator().Directory().Update(config.DefaultTenant, app, func(p *directory.Principal) error {
		p.Secrets = []directory.Secret{{DisplayName: "of the build", Value: secret}}
		p.Certificates = []directory.Certificate{{DER: der}}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	thumbprint := fmt.Sprintf("%X", sha256.Sum256(der))
	b := open(t, s)
	b.goTo("trust/" + app)
	b.sees("h2", "Certificates & secrets")
	b.sees("tr", "CN=orders-api")
	rows := eval[[]string](b, "[...document.querySelectorAll('[aria-label=\"Certificates and secrets\"] tbody tr')].map((r) => [...r.cells].map((c) => c.innerText.trim()).join(' | '))")
	if want := []string{"Client secret | of the build | Qz7… | never", "Certificate | CN=orders-api | " + thumbprint[:16] + "… | 2036-01-15 08:00:00"}; !slices.Equal(rows, want) {
		t.Errorf("%q, want %q", rows, want)
	}
	// Neither is it behind what is shown, or in what the page is made of.
	page := eval[string](b, "document.documentElement.outerHTML")
	answers := eval[string](b, "fetch('api/v1/directory').then((r) => r.text())")
	for what, hidden := range map[string]string{"the secret": secret, "the certificate": base64.StdEncoding.EncodeToString(der)} {
		if strings.Contains(page, hidden) || strings.Contains(answers, hidden) {
			t.Errorf("the browser has %s", what)
		}
	}
	if strings.Contains(page, thumbprint) {
		t.Error("the page has the whole thumbprint")
	}
	if !strings.Contains(answers, "orders-api") {
		t.Error("the directory is not what was asked for: " + answers)
	}
	b.quiet()
}

// certificateOf makes a certificate of a name.
func certificateOf(t *testing.T, name string) (der []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2036, 1, 15, 8, 0, 0, 0, time.UTC),
	}
	der, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// A button that copies puts the text where the user can paste it from.
func TestTheCopyButtonCopies(t *testing.T) {
	t.Parallel()
	s := labOf(t, nil)
	b := open(t, s)
	b.goTo("trust/" + clientID)
	b.click("button", "Copy client ID")
	b.sees("button", "Copied")
	b.goTo("token")
	b.clickOn("textarea")
	b.until("the text field has the focus", "document.activeElement.tagName === 'TEXTAREA'")
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeRawKeyDown, Key: "v", Code: "KeyV", Modifiers: int64(chromedp.ModifierCtrl), Commands: []string{"paste"}})
		return err
	}))
	b.until("the client ID is pasted", fmt.Sprintf("document.querySelector('textarea').value === %q", clientID))
	b.quiet()
}

// Each form of the page Control shows the command line that does the same, before and after
// something is written into it.
func TestEachFormOfControlShowsItsCommand(t *testing.T) {
	t.Parallel()
	s := labOf(t, nil)
	b := open(t, s)
	b.goTo("control")
	commands := map[string]string{ // by the heading of the form
		"Advance":                           "wiemu clock advance 1h",
		"Set":                               "wiemu clock set TIME",
		"Speed":                             "wiemu clock speed 600",
		"Freeze":                            "wiemu clock freeze",
		"Skew":                              "wiemu clock skew entra 5m",
		"Change keys":                       "wiemu keys publish blue",
		"Inject a fault":                    "wiemu fault inject ",
		"Move a workload to another issuer": "wiemu move --namespace my-radix-app-dev --service-account web-sa --to blue",
		"Revoke sessions":                   "wiemu revoke " + clientID,
	}
	for heading, line := range commands {
		b.until(heading+": "+line, fmt.Sprintf("[...document.querySelectorAll('main form')].some((f) => f.querySelector('h3').innerText === %q && f.querySelector('.command code').innerText.startsWith(%q))", heading, line))
	}
	shown := eval[[]string](b, "[...document.querySelectorAll('main form')].map((f) => f.querySelector('h3').innerText)")
	slices.Sort(shown)
	if want := slices.Sorted(maps.Keys(commands)); !slices.Equal(shown, want) {
		t.Errorf("the forms are %q, want %q", shown, want)
	}
	b.types("By", "25h")
	b.sees(".command", "wiemu clock advance 25h")
	b.types("To", "2030-01-05T09:00:00Z; rm x")
	b.sees(".command", "wiemu clock set '2030-01-05T09:00:00Z; rm x'") // one word of the shell
	b.chooses("What", "Rotate")
	b.sees(".command", "wiemu keys rotate blue")
	b.quiet()
}
