package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/console"
	"github.com/wiemu/wiemu/internal/keyring/keyringtest"
	"github.com/wiemu/wiemu/internal/recording"
	"github.com/wiemu/wiemu/internal/scenario"
	"github.com/wiemu/wiemu/internal/scenarioapi"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/timeline"
	"github.com/wiemu/wiemu/internal/workload"
)

var screenshots = flag.String("screenshots", "", "directory for screenshots of the pages, to be looked at")

const clientID = "b96d264b-7053-4465-a4a7-32be5b0fec49"

// web is the component of the Radix documentation, in an environment.
func web(environment string) workload.Spec {
	return workload.Spec{Workload: workload.Workload{
		Application: "my-radix-app", Environment: environment, Component: "web", Role: workload.Component,
		Namespace: "my-radix-app-" + environment, ServiceAccount: "web-sa", ClientID: clientID,
	}}
}

// labOf is a lab whose identity, web-identity, trusts the component web of prod and not that of dev.
func labOf(t testing.TB, change func(*session.Options)) *session.Session {
	t.Helper()
	opts := optionsOf(t, change)
	s, err := session.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, s)
	return s
}

// closeAtEnd ends the server with the test. The page of a test that has failed may still ask it
// something, which is not waited for without end.
func closeAtEnd(t testing.TB, s *session.Session) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
}

// optionsOf are those of the lab of labOf, with a change.
func optionsOf(t testing.TB, change func(*session.Options)) session.Options {
	t.Helper()
	opts := session.Options{Workloads: []workload.Spec{web("dev"), web("prod")}}
	opts.Emulator.Keys = keyringtest.Keys(t)
	opts.Emulator.Clock = clock.Stopped(time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC))
	opts.Emulator.Config = config.Config{
		Issuers: []config.Issuer{{Name: "blue"}, {Name: "green"}},
		Identities: []config.Identity{{Principal: config.Principal{
			Name: "web-identity", ClientID: clientID,
			FederatedCredentials: &[]config.FederatedCredential{{Name: "my-radix-app_prod_web", Issuer: "blue", Subject: "system:serviceaccount:my-radix-app-prod:web-sa"}},
		}}},
	}
	t.Cleanup(func() {
		if err := opts.Emulator.Keys.Close(); err != nil {
			t.Error(err)
		}
	})
	if change != nil {
		change(&opts)
	}
	return opts
}

// link is a link to the console, as wiemu console prints it.
func link(t testing.TB, s *session.Session) string {
	t.Helper()
	var l console.Link
	if err := s.Emulator().ControlClient().Do(t.Context(), http.MethodPost, console.LinkPath, nil, &l); err != nil {
		t.Fatal(err)
	}
	return s.Emulator().ControlURL() + l.Path
}

// open opens the console in a browser of its own.
func open(t testing.TB, s *session.Session) *tab {
	t.Helper()
	b := newBrowser(t)
	b.do(chromedp.Navigate(link(t, s)))
	b.until("the console", "document.querySelector('#clock')?.textContent.startsWith('Lab time')")
	return b
}

// exchange asks Entra ID for an access token as the workload does, and returns the code of the
// refusal, 0 if there is none.
func exchange(t testing.TB, s *session.Session, d workload.Spec) int {
	t.Helper()
	w, err := s.Workload(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	token, err := os.ReadFile(w.Env.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Client().PostForm("https://login.microsoftonline.com/"+config.DefaultTenant+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {d.ClientID}, "scope": {"https://vault.azure.net/.default"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {string(token)},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var reply struct {
		AccessToken string `json:"access_token"`
		Codes       []int  `json:"error_codes"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&reply); err != nil {
		t.Fatal(err)
	}
	if len(reply.Codes) > 0 {
		return reply.Codes[0]
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.6", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+reply.AccessToken)
	secret, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Body.Close()
	if text, _ := io.ReadAll(secret.Body); secret.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", secret.Status, text)
	}
	return 0
}

// files are those of the Radix documentation's application, and of an identity that trusts prod alone.
var files = map[string]string{
	"radixconfig.yaml": `
apiVersion: radix.equinor.com/v1
kind: RadixApplication
metadata: {name: my-radix-app}
spec:
  environments: [{name: dev}, {name: prod}]
  components:
    - name: web
      identity: {azure: {clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}}
      ports: [{name: http, port: 8080}]
`,
	"wiemu.yaml": `
issuers: [{name: blue}]
identities:
  - name: web-identity
    clientId: b96d264b-7053-4465-a4a7-32be5b0fec49
    federatedCredentials:
      - {name: my-radix-app_prod_web, issuer: blue, subject: "system:serviceaccount:my-radix-app-prod:web-sa"}
`,
}

// fromFiles makes a lab of files, as wiemu serve and wiemu run do; more is of the wiemu.yaml.
func fromFiles(t *testing.T, more string) func(*session.Options) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if name == "wiemu.yaml" {
			text += more
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read, err := session.ReadFiles(dir, []string{filepath.Join(dir, "wiemu.yaml"), filepath.Join(dir, "radixconfig.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	return func(o *session.Options) {
		o.Emulator.Config, o.Emulator.ConfigFile, o.Workloads = read.Configuration(), read.ConfigFile, read.Workloads()
	}
}

// The flow of the Radix page, by mouse and keyboard alone: a radixconfig.yaml, a refused workload,
// the reason, the portal's form, and the secret.
func TestAddingACredentialLetsARefusedWorkloadIn(t *testing.T) {
	t.Parallel()
	s := labOf(t, func(o *session.Options) {
		fromFiles(t, "")(o)
		o.Workloads = nil
	})
	b := open(t, s)
	b.sees(".empty", "There is no workload yet.")
	b.uploads("Add workloads from a radixconfig.yaml or Kubernetes manifests", "wiemu.yaml", files["wiemu.yaml"])
	b.sees(".outcome.bad", "wiemu serve -f wiemu.yaml")
	b.uploads("Add workloads from a radixconfig.yaml or Kubernetes manifests", "radixconfig.yaml", files["radixconfig.yaml"])
	b.sees(".outcome.good", "2 workloads of radixconfig.yaml added.")
	b.forget() // the browser logs the answer with status 400
	if code := exchange(t, s, web("dev")); code != 700213 {
		t.Fatalf("AADSTS%d, want 700213", code)
	}
	b.sees("article", "not trusted")
	b.sees("article[data-workload='my-radix-app-dev/web-sa'] .differences", "subject differs (namespace)")
	b.click("article a", "AADSTS700213: why?")
	b.sees(".panel .diagnosis", "The subject's namespace is my-radix-app-dev, the credential trusts my-radix-app-prod")
	b.sees(".panel table", "✗ failed")

	b.click("nav a", "Workloads")
	b.click("article[data-workload='my-radix-app-dev/web-sa'] a", "Add credential")
	for _, f := range []struct{ label, want string }{
		{"Federated credential scenario", "Kubernetes accessing Azure resources"},
		{"Cluster issuer URL", s.Emulator().Issuers()[0].URL()}, {"Namespace", "my-radix-app-dev"}, {"Service account name", "web-sa"},
		{"Subject identifier", "system:serviceaccount:my-radix-app-dev:web-sa"}, {"Name", "my-radix-app_dev_web"}, {"Audience", "api://AzureADTokenExchange"},
	} {
		if got := eval[string](b, fmt.Sprintf("document.querySelector(%q).value", b.control(f.label))); got != f.want {
			t.Errorf("%s is %q, want %q", f.label, got, f.want)
		}
	}
	b.click("button", "Add")
	b.sees("h1", "web-identity")
	b.sees("table", "my-radix-app_dev_web")
	if code := exchange(t, s, web("dev")); code != 0 {
		t.Errorf("AADSTS%d, want an access token", code)
	}
	b.click("nav a", "Workloads")
	b.until("the workload is trusted", "document.querySelector(\"article[data-workload='my-radix-app-dev/web-sa'] .badge\").innerText === 'trusted'")
	b.sees("article[data-workload='my-radix-app-dev/web-sa'] .last", "granted")
	b.click("article[data-workload='my-radix-app-dev/web-sa'] .last a", "show")
	b.sees(".panel h2", "exchange")
	b.sees(".panel .chain", "AADSTS700213")
	b.sees(".panel .chain", "get secret mysecret by web-identity")
	b.click("nav a", "Resources")
	b.sees("article .lasts", "web-identity GET /secrets/mysecret")
	b.quiet()
}

// The nearest credential is changed where it is shown, and what differs is marked.
func TestTheNearestCredentialIsChanged(t *testing.T) {
	t.Parallel()
	s := labOf(t, nil)
	b := open(t, s)
	b.sees("article[data-workload='my-radix-app-dev/web-sa'] .badge", "not trusted: subject differs")
	b.sees("article[data-workload='my-radix-app-dev/web-sa'] .differences", "subject differs (namespace)")
	if got := eval[string](b, `[...document.querySelectorAll("article[data-workload='my-radix-app-dev/web-sa'] .differences mark")].map((m) => m.innerText).join(" ")`); got != "dev prod" {
		t.Errorf("%q is marked, want what differs", got)
	}
	b.click("nav a", "Trust")
	b.sees("td .badge", "not trusted")
	b.click("nav a", "Workloads")
	b.click("article[data-workload='my-radix-app-dev/web-sa'] button", "Change subject of my-radix-app_prod_web")
	b.until("the workload is trusted", "document.querySelector(\"article[data-workload='my-radix-app-dev/web-sa'] .badge\").innerText === 'trusted'")
	b.sees(".outcome.good", "web-identity has a federated credential changed.")
	b.until("what was done has the focus", "document.activeElement.matches('.outcome.good')")
	if code := exchange(t, s, web("dev")); code != 0 {
		t.Errorf("AADSTS%d, want an access token", code)
	}
	b.until("the other one is not", "document.querySelector(\"article[data-workload='my-radix-app-prod/web-sa'] .badge\").innerText.startsWith('not trusted')")
	b.quiet()
}

// The same by keyboard alone: whatever a mouse does here, keys do, and where they are is seen.
func TestTheKeyboardAloneLetsARefusedWorkloadIn(t *testing.T) {
	t.Parallel()
	s := labOf(t, nil)
	if code := exchange(t, s, web("dev")); code != 700213 {
		t.Fatalf("AADSTS%d, want 700213", code)
	}
	b := open(t, s)
	b.presses(kb.Tab)
	b.focused("Skip to the page")
	b.presses(kb.Enter)
	b.tabTo("AADSTS700213: why?")
	b.presses(kb.Enter)
	b.sees(".panel .diagnosis", "The subject's namespace is my-radix-app-dev")
	b.tabTo("Events, the newest first")
	b.presses(kb.Home, kb.ArrowDown, kb.Enter)
	b.until("the explanation has the focus", "document.activeElement.matches('.panel')")
	b.tabTo("Close")
	b.presses(kb.Enter)
	b.until("the explanation is closed, and the events have the focus", "document.querySelector('.panel').hidden && document.activeElement.matches('.grid')")
	b.tabTo("Workloads")
	b.presses(kb.Enter)
	b.sees("h1", "Workloads")
	b.tabTo("Add credential")
	b.presses(kb.Enter)
	b.sees("h1", "Add a credential")
	b.tabTo("Add")
	b.presses(kb.Enter)
	b.sees("table", "my-radix-app_dev_web")
	b.tabTo("Delete my-radix-app_prod_web")
	b.presses(kb.Enter)
	b.focused("Really delete my-radix-app_prod_web")
	b.presses(kb.Enter)
	b.sees(".outcome", "has federated credential my-radix-app_prod_web removed")
	if code := exchange(t, s, web("dev")); code != 0 {
		t.Errorf("AADSTS%d, want an access token", code)
	}
	b.quiet()
}

// What the directory refuses is shown beside the field, in its words.
func TestTheFormOfACredentialShowsWhatIsRefused(t *testing.T) {
	t.Parallel()
	s := labOf(t, nil)
	b := open(t, s)
	b.goTo("trust/" + clientID)
	b.sees("h1", "web-identity")
	b.click("a", "Add credential")
	b.sees("h1", "Add a credential")
	b.click("button", "Add")
	b.sees(".field .wrong", "This field is required.")
	wrong := func(label string) string {
		return eval[string](b, fmt.Sprintf("document.querySelector(%q).closest('.field').querySelector('.wrong').innerText", b.control(label)))
	}
	for _, label := range []string{"Cluster issuer URL", "Namespace", "Service account name", "Name"} {
		if wrong(label) == "" {
			t.Errorf("%s may be empty", label)
		}
	}
	b.types("Cluster issuer URL", "http://elsewhere.example/")
	b.types("Namespace", "shop")
	b.types("Service account name", "web-sa")
	b.types("Name", "a b")
	b.click("button", "Add")
	b.sees(".wrong", "an https URL exactly as the iss claim has it")
	b.sees(".wrong", "3 to 120 letters, digits, - or _")
	b.types("Cluster issuer URL", s.Emulator().Issuers()[0].URL())
	b.types("Namespace", "my-radix-app-prod")
	b.types("Name", "another")
	b.click("button", "Add")
	b.sees(".wrong", "a combination of issuer and subject of its own")
	b.chooses("Federated credential scenario", "Other issuer")
	b.types("Subject identifier", "repo:octo/shop:ref:refs/heads/main")
	b.types("Issuer", "https://token.actions.githubusercontent.com")
	b.click("button", "Add")
	b.sees("table", "repo:octo/shop:ref:refs/heads/main")

	b.click("button", "Delete another")
	b.click("button", "Keep")
	b.click("button", "Delete another")
	b.click("button", "Really delete another")
	b.sees(".outcome", "has federated credential another removed")
	p, _ := s.Emulator().Directory().Principal(config.DefaultTenant, clientID)
	if len(p.FederatedCredentials) != 1 {
		t.Errorf("%d credentials are left, want 1", len(p.FederatedCredentials))
	}
	b.forget() // the browser logs answers with status 400
}

// Everything that happens is seen as it happens, filtered, chosen by keyboard and explained.
func TestEventsAreSeenAsTheyHappen(t *testing.T) {
	t.Parallel()
	s := labOf(t, nil)
	b := open(t, s)
	b.goTo("live")
	b.until("the journal", "!document.querySelector('main [role=status].hint').innerText.includes('Reading')")
	b.chooses("Kind", "Exchanges")
	b.sees("[role=status].hint", "0 of")
	if code := exchange(t, s, web("dev")); code != 700213 {
		t.Fatal(code)
	}
	b.sees(".row.refused", "700213")
	b.sees(".refusals", "AADSTS700213")
	b.sees(".refusals", "subject differs from credential my-radix-app_prod_web: system:serviceaccount:my-radix-app-dev:web-sa, expected system:serviceaccount:my-radix-app-prod:web-sa")
	b.sees("#refusals", "1")
	b.do(chromedp.Focus(chromedp.CSS(".grid")), chromedp.KeyEvent(kb.ArrowDown))
	b.sees(".panel", "What to change")
	b.sees(".panel .chain", "my-radix-app-dev/web-sa")
	b.click(".panel button", "Close")

	if err := s.Emulator().ControlClient().Do(t.Context(), http.MethodPost, "/v1/clock/advance", map[string]string{"by": "2h"}, new(any)); err != nil {
		t.Fatal(err)
	}
	b.until("the move of the clock is in the timeline", "document.querySelector('.frame .advanced') !== null")
	b.until("the timeline says what that of wiemu report says", "JSON.stringify([...document.querySelectorAll('.legend li')].map((l) => l.innerText.trim()).sort()) === JSON.stringify("+reported(t, s)+")")
	b.clickOn(".frame .denied")
	b.sees(".panel:not([hidden]) h2", "AADSTS700213")
	b.until("the refusal is marked", "document.querySelector('.frame .chosen .denied') !== null && document.querySelector('.row[aria-selected=true].refused') !== null")
	b.click(".panel button", "Close")

	// What a button is down on stays, though an event comes, or the click would be lost.
	eval[bool](b, "(window.under = document.querySelector('.row.refused')).dispatchEvent(new PointerEvent('pointerdown', { bubbles: true }))")
	s.Journal().Record(journal.Event{Kind: journal.Exchange, Outcome: journal.Granted, Summary: "another exchange", Workload: "shop/web-sa"})
	b.sees("[role=status].hint", "2 of")
	if !eval[bool](b, "under.isConnected") {
		t.Error("the row that is clicked on is drawn again before the click has ended")
	}
	eval[bool](b, "under.dispatchEvent(new PointerEvent('pointerup', { bubbles: true }))")
	b.sees(".row", "another exchange")
	b.until("it is in the timeline", "[...document.querySelectorAll('.frame .name')].some((n) => n.textContent.includes('shop/web-sa'))")
	b.chooses("How many events the timeline shows", "50")
	b.click("summary", "Timeline")
	b.until("the timeline is folded", "!document.querySelector('.timeline').open")

	b.types("Filter", "nobody-has-this")
	b.sees("[role=status].hint", "0 of")
	b.types("Filter", "700213")
	b.sees("[role=status].hint", "1 of")
	b.sees(".row.refused", "700213")
	b.quiet()
}

// reported is the legend of the report of a lab's journal: a list of texts in JSON.
func reported(t *testing.T, s *session.Session) string {
	t.Helper()
	var drawn bytes.Buffer
	if err := timeline.Write(&drawn, timeline.SVG, timeline.About{}, s.Journal().Events()); err != nil {
		t.Fatal(err)
	}
	texts := []string{}
	for _, found := range regexp.MustCompile(`<text x="31"[^>]*>([^<]*)</text>`).FindAllStringSubmatch(drawn.String(), -1) {
		texts = append(texts, html.UnescapeString(found[1]))
	}
	slices.Sort(texts)
	list, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	return string(list)
}

// Ten thousand events make no more rows than are seen, and a filter over them takes no second.
func TestTenThousandEventsStaySmooth(t *testing.T) {
	t.Parallel()
	s := labOf(t, func(o *session.Options) { o.Emulator.KeepEvents = 12_000 })
	expires := time.Date(2026, 1, 16, 8, 0, 0, 0, time.UTC)
	for n := range 10_000 {
		switch e := (journal.Event{Kind: journal.Access, Outcome: journal.OK, Summary: fmt.Sprintf("GET /secrets/number-%d", n), Resource: "keyvault", Workload: "shop/web-sa"}); n % 10 {
		case 1: // of many workloads, keys, files and tokens
			e.Kind, e.Workload, e.ExpiresAt, e.Detail = journal.Projection, fmt.Sprintf("shop/%d", n%70), &expires, map[string]string{"file": "token"}
			s.Journal().Record(e)
		case 2:
			e.Kind, e.Component, e.Kid, e.Detail = journal.KeyRotation, fmt.Sprintf("ring-%d", n%30), fmt.Sprintf("%016d", n), map[string]string{"stage": "signing", "from": "published"}
			s.Journal().Record(e)
		case 3:
			e.Kind, e.Outcome, e.Identity, e.ExpiresAt = journal.Exchange, journal.Granted, fmt.Sprintf("identity-%d", n%90), &expires
			s.Journal().Record(e)
		default:
			s.Journal().Record(e)
		}
	}
	b := open(t, s)
	b.goTo("live")
	b.until("all events", "/\\b1\\d{4} events/.test(document.querySelector('main [role=status].hint').innerText)")
	if rows := eval[int](b, "document.querySelectorAll('.row').length"); rows == 0 || rows > 60 {
		t.Errorf("%d rows are made, want those that are seen", rows)
	}
	b.chooses("How many events the timeline shows", "All events")
	b.until("all events are in the timeline", "/^Events 1 to 1\\d,\\d{3} of 1\\d,\\d{3}\\./.test(document.querySelector('.timeline .hint').innerText)")
	if made := eval[int](b, "document.querySelectorAll('*').length"); made > 4000 {
		t.Errorf("the page has %d elements, want no more than the width has room for", made)
	}
	b.types("Filter", "number-7")
	b.sees("[role=status].hint", "1111 of")
	eval[int](b, "document.querySelector('.grid').scrollTop = 1e6")
	b.sees(".row", "number-7")
	b.quiet()
}

// A stream that breaks goes on where it broke: nothing is missing, nothing is there twice.
func TestABrokenConnectionGoesOnWhereItBroke(t *testing.T) {
	t.Parallel()
	s := labOf(t, nil)
	gate := newGate(t, s.Emulator().ControlURL())
	b := newBrowser(t)
	b.do(chromedp.Navigate(strings.Replace(link(t, s), s.Emulator().ControlURL(), gate.url, 1)))
	b.goTo("live")
	note := func(text string) {
		s.Journal().Record(journal.Event{Kind: journal.Run, Outcome: journal.OK, Summary: text})
	}
	note("before the break")
	b.sees(".row", "before the break")
	gate.shut()
	b.sees("#banner", "The server does not answer")
	note("during the break")
	gate.to(s.Emulator().ControlURL())
	b.sees(".row", "during the break")
	b.until("no banner", "document.querySelector('#banner').innerText === ''")
	b.types("Filter", "the break")
	b.sees("[role=status].hint", "2 of")
	b.forget() // of requests that failed
}

// A page for which the server has no stream says so, and goes on when another is closed.
func TestAPageTooMany(t *testing.T) {
	t.Parallel()
	s := labOf(t, nil)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	others := &http.Client{Jar: jar}
	resp, err := others.Get(link(t, s))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	pages := resp.Request.URL.String()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, pages+"events", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := others.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusServiceUnavailable {
			break
		}
	}
	b := open(t, s)
	b.sees("#banner", "Close one, and this page goes on by itself.")
	cancel()
	b.until("no banner", "document.querySelector('#banner').innerText === ''")
	b.goTo("live")
	b.until("the journal", "!document.querySelector('main [role=status].hint').innerText.includes('Reading')")
	b.forget() // the browser logs answers with status 503
}

// A page that is not seen has no stream, and has everything when it is seen again.
func TestAPageThatIsNotSeen(t *testing.T) {
	t.Parallel()
	s := labOf(t, nil)
	b := open(t, s)
	b.goTo("live")
	note := func(text string) {
		s.Journal().Record(journal.Event{Kind: journal.Run, Outcome: journal.OK, Summary: text})
	}
	see := func(hidden bool) {
		eval[bool](b, fmt.Sprintf("Object.defineProperty(document, 'hidden', { value: %v, configurable: true }) && document.dispatchEvent(new Event('visibilitychange'))", hidden))
	}
	note("while it is seen: one")
	b.sees(".row", "while it is seen: one")
	eval[bool](b, "(() => { const close = EventSource.prototype.close; window.ended = 0; EventSource.prototype.close = function () { ended++; close.call(this); }; return true; })()")
	see(true)
	if ended := eval[int](b, "ended"); ended != 1 {
		t.Errorf("%d streams end when the page is not seen any more, want 1", ended)
	}
	note("while it is hidden")
	see(false)
	b.sees(".row", "while it is hidden")
	b.types("Filter", "while it is")
	b.sees("[role=status].hint", "2 of")
	b.quiet()
}

// A server that ends, and another one at the same address: the page says what to do.
func TestAServerThatEnds(t *testing.T) {
	t.Parallel()
	s := labOf(t, nil)
	gate := newGate(t, s.Emulator().ControlURL())
	b := newBrowser(t)
	b.do(chromedp.Navigate(strings.Replace(link(t, s), s.Emulator().ControlURL(), gate.url, 1)))
	b.sees("article", "my-radix-app-dev")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Emulator().Close(ctx); err != nil {
		t.Errorf("the open stream keeps the server from ending: %v", err)
	}
	b.sees("#banner", "The server does not answer")
	b.sees("article", "my-radix-app-dev")
	gate.to(labOf(t, nil).Emulator().ControlURL())
	b.sees("#banner", "Run wiemu console")
	b.forget()
}

// hostile is a name that does something if a page takes it for markup, or for an address.
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>javascript:alert(3)`

func TestHostileNamesAreText(t *testing.T) {
	t.Parallel()
	s := labOf(t, func(o *session.Options) {
		o.Emulator.Config.Identities[0].Name = hostile
		o.Emulator.Config.Applications = []config.Application{{Principal: config.Principal{Name: hostile + " app", ClientID: "6f9f6a0e-5c0c-4d5e-9a39-2f4c8f5b7f11"}, Secrets: []config.Secret{{Value: "not-a-real-secret"}}}}
		o.Workloads[0].Component, o.Workloads[0].Environment, o.Workloads[0].Application = hostile, hostile, hostile
	})
	e := s.Emulator()
	if err := e.Directory().Update(config.DefaultTenant, clientID, func(p *directory.Principal) error {
		p.FederatedCredentials = append(p.FederatedCredentials, directory.FederatedCredential{Name: "hostile", Issuer: "https://elsewhere.example/" + url.PathEscape("<script>"), Subject: hostile, Audience: hostile})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	s.Journal().Record(journal.Event{
		Kind: hostile, Outcome: journal.Denied, Summary: hostile, Component: hostile, Workload: hostile, Issuer: hostile, Subject: hostile, Audience: []string{hostile}, Kid: hostile, JTI: hostile,
		ClientID: hostile, Identity: hostile, TraceID: hostile, UTI: hostile, Resource: hostile, Host: hostile, Method: hostile, Path: hostile, Status: 400, Error: hostile, Message: hostile + " message",
		Checks: []journal.Check{{Name: hostile, Expected: hostile, Presented: hostile, Note: hostile, Outcome: journal.Failed}}, Meaning: hostile, Remedy: hostile,
		Nearest: &journal.Nearest{Credential: hostile, Differences: []journal.Difference{{Field: hostile, Expected: hostile, Presented: hostile, Kind: hostile, Fix: hostile}}},
		Detail:  map[string]string{journal.DetailNote: hostile, journal.DetailRemark: hostile},
		Program: &journal.Program{PID: 1, Name: hostile},
	})
	b := open(t, s)
	for page, at := range map[string]string{"workloads": "article h3", "trust": "table", "trust/" + clientID: "table", "trust/" + clientID + "/add": "select", "live": ".row", "token": "select", "control": "select", "resources": "article", "errors": "details"} {
		b.goTo(page)
		b.until("page "+page, fmt.Sprintf("document.querySelector(%q) !== null", at))
	}
	b.goTo("live")
	b.sees(".refusals a", hostile)
	b.click(".refusals a span", fmt.Sprintf("%[1]s: %[1]s differs from credential %[1]s: %[1]s, expected %[1]s", hostile))
	b.until("what the client got is open", // it moves when the lab's explanation comes, so that a mouse may miss it
		"((s) => s && (s.parentNode.open || (s.click(), false)))([...document.querySelectorAll('.panel summary')].find((s) => s.innerText === 'What the client got'))")
	b.sees(".panel", hostile+" message")
	b.goTo("token")
	b.types("Token", encoded(`{"alg":"`+strings.ReplaceAll(hostile, `"`, `\"`)+`"}`)+"."+encoded(`{"iss":"`+strings.ReplaceAll(hostile, `"`, `\"`)+`","__proto__":{"x":1}}`)+".c2ln")
	b.click("button", "Inspect")
	b.sees("table", hostile)
	b.goTo("errors/" + url.PathEscape(hostile))
	if made := eval[int](b, "document.querySelectorAll('main script, main img, main iframe').length"); made != 0 {
		t.Errorf("%d elements were made of names", made)
	}
	b.quiet()
}

// Two browsers see the same lab, each by a link of its own.
func TestTwoBrowsers(t *testing.T) {
	t.Parallel()
	s := labOf(t, nil)
	one, two := open(t, s), open(t, s)
	one.goTo("control")
	one.types("By", "25h")
	one.sees(".command", "wiemu clock advance 25h")
	one.click("button", "Advance")
	one.sees(".outcome", "2026-01-16 09:00:00")
	two.sees("#clock", "2026-01-16 09:00:00")
	one.quiet()
	two.quiet()
}

// Each form of Control does what its command line says. The page is at its earlier address, too.
func TestControl(t *testing.T) {
	t.Parallel()
	s := labOf(t, nil)
	if _, err := s.Workload(t.Context(), web("dev")); err != nil {
		t.Fatal(err)
	}
	b := open(t, s)
	b.goTo("steer")
	b.sees("h1", "Control")
	b.sees("nav a[aria-current=page]", "Control")
	b.sees("table", "signing")

	b.types("To", "2026-01-20T08:00:00Z")
	b.click("button", "Set")
	b.sees(".outcome", "2026-01-20 08:00:00")
	b.types("To", "2020-01-20T08:00:00Z")
	b.click("button", "Set")
	b.sees(".outcome.bad", "2020-01-20")
	b.types("Times as fast", "0.001")
	b.click("button", "Run")
	b.sees("#clock", "runs 0.001 times as fast")
	b.click("button", "Freeze")
	b.sees("#clock", "stands still")
	b.chooses("Part", "entra")
	b.click("button", "Skew")
	b.sees("#clock", "entra +5m")

	b.chooses("Key ring", "blue")
	b.click("button", "Publish")
	b.sees("table", "published")
	b.chooses("What", "Rotate")
	b.sees(".command", "wiemu keys rotate blue")
	b.click("button", "Rotate")
	b.sees("table", "retired")
	b.chooses("What", "Remove")
	b.click("button", "Remove")
	b.sees(".outcome", "is removed")

	b.chooses("Fault", "throttled")
	b.types("retry-after", "3s")
	b.click("summary", "Which calls, and when")
	b.types("for resource", "entra")
	b.types("Count", "2")
	b.sees(".command", "wiemu fault inject throttled --for resource=entra --count 2 retry-after=3s")
	b.click("button", "Inject")
	b.sees("table", "0 of 0 calls")
	exchange429(t, s)
	b.sees("table", "1 of 1 calls")
	b.click("button", "Clear f1")
	b.sees("p", "No fault is injected.")

	b.chooses("Workload", "my-radix-app-dev")
	b.chooses("Issuer", "green")
	b.sees(".command", "wiemu move --namespace my-radix-app-dev --service-account web-sa --to green")
	b.click("button", "Move")
	b.sees(".outcome", "1 pod moved")
	b.click("button", "Revoke")
	b.sees(".outcome", "has its sessions revoked")
	b.forget() // the browser logs the answer with status 400
}

// exchange429 makes a request that the fault hits.
func exchange429(t *testing.T, s *session.Session) {
	t.Helper()
	resp, err := s.Client().PostForm("https://login.microsoftonline.com/"+config.DefaultTenant+"/oauth2/v2.0/token", url.Values{"grant_type": {"client_credentials"}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusTooManyRequests {
		t.Fatal(resp.Status)
	}
}

// A token is looked at in plain words, and kept nowhere.
func TestATokenIsLookedAt(t *testing.T) {
	t.Parallel()
	s := labOf(t, nil)
	b := open(t, s)
	b.goTo("token")
	b.chooses("Or issue a new service-account token for", "my-radix-app-dev")
	b.sees("main", "refused with AADSTS700213")
	b.sees("main", "by a key of blue, which is signing")
	b.sees("main", "It expires in 1 h.")
	b.sees("table", "system:serviceaccount:my-radix-app-dev:web-sa")
	b.chooses("Or issue a new service-account token for", "my-radix-app-prod")
	b.sees("main", "Every check passes.")
	if eval[int](b, "localStorage.length + sessionStorage.length") != 0 {
		t.Error("the page stores something")
	}
	for _, e := range s.Journal().Events() {
		if e.Kind == journal.Exchange {
			t.Errorf("looking at a token is journaled: %s", e.Summary)
		}
	}
	b.types("Token", "not a token")
	b.click("button", "Inspect")
	b.sees(".wrong", "expected a JWT of three parts")
	b.forget() // the browser logs the answer with status 400
}

func TestErrorsAndResources(t *testing.T) {
	t.Parallel()
	s := labOf(t, fromFiles(t, `
vaults: [{name: mykeyvault, secrets: {mysecret: correct-horse, other: battery-staple}}]
storageAccounts: [{name: wiemustorage, containers: {inbox: {}}, queues: [shop-queue]}]
sqlServers: [{name: shop, databases: [{name: orders}]}]
`))
	if code := exchange(t, s, web("prod")); code != 0 {
		t.Fatal(code)
	}
	b := open(t, s)
	b.goTo("errors")
	b.types("Search codes and texts", "AADSTS700213")
	b.sees(".error[open]", "What to change")
	b.types("Search codes and texts", "expired")
	b.sees(".error", "AADSTS700024")
	b.goTo("resources")
	b.sees("article", "mykeyvault.vault.azure.net")
	b.sees("article", "mysecret")
	b.sees("article .lasts", "web-identity GET /secrets/mysecret")
	shown := func() bool { return eval[bool](b, "document.body.innerText.includes('correct-horse')") }
	if shown() {
		t.Error("the page shows the value of a secret that nobody has asked for")
	}
	b.sees(".secrets li", "mysecret")
	b.sees(".secrets li", "opened by web-identity")
	b.sees(".secrets li", "never opened")
	b.click("button", "Show the value of other")
	b.sees(".secrets code.value", "battery-staple")
	b.click("button", "Show the value of mysecret")
	b.sees(".secrets code.value", "correct-horse")
	if eval[bool](b, "document.body.innerText.includes('battery-staple')") {
		t.Error("two secrets are shown at a time")
	}
	// What happens meanwhile is told beside the value, which stays.
	s.Journal().Record(journal.Event{Kind: journal.Access, Outcome: journal.Granted, Host: "mykeyvault.vault.azure.net", Method: "GET", Path: "/secrets/mysecret", Identity: "somebody-new"})
	b.sees(".secrets li", "opened by somebody-new")
	b.sees("article .lasts", "somebody-new GET /secrets/mysecret")
	if !shown() {
		t.Error("a new event hides the value that is shown")
	}
	b.click("button", "Hide")
	b.until("the value is hidden", "!document.body.innerText.includes('correct-horse')")
	b.sees("article", "wiemustorage")
	b.sees("article .facts", "inbox")
	b.sees("article .facts", "shop-queue")
	b.sees("article .facts", "orders")
	for _, e := range s.Journal().Events() {
		if e.Kind == journal.Access && e.Identity == "" {
			t.Errorf("to show a value is journaled as access: %s", e.Summary)
		}
	}
	b.quiet()
}

// aScenario needs no program but a shell.
const aScenario = `
apiVersion: wiemu.dev/v1
kind: Scenario
metadata: {name: %s}
description: A credential names another cluster, and the exchange ends with AADSTS700211.
cause: The cluster was made again.
links: [https://learn.microsoft.com/azure/aks/use-oidc-issuer]
workloads:
  - {name: web, namespace: shop, serviceAccount: web-sa, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}
steps:
  - {advance: 55m}
  - {name: hello, run: {workload: web, shell: 'echo hello; exit %d'}}
  - expect: [results.hello.exitCode == 0]
`

// withScenarios adds scenarios to a lab, as wiemu serve does: one that passes and one that fails.
func withScenarios(t *testing.T, o *session.Options) *scenarioapi.Library {
	t.Helper()
	l := scenarioapi.New(t.Context(), func() (list []scenario.Scenario, err error) {
		for code, name := range []string{"cluster-recreated", "never-so"} {
			s, err := scenario.Parse(name+".yaml", fmt.Appendf(nil, aScenario, name, code))
			if err != nil {
				return nil, err
			}
			list = append(list, s)
		}
		return list, nil
	}, scenarioapi.Options{})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	o.Emulator.Control = l.Handle
	return l
}

// A scenario is found by its symptom or code, run, and watched.
func TestAScenarioIsRunAndWatched(t *testing.T) {
	t.Parallel()
	s := labOf(t, func(o *session.Options) { withScenarios(t, o) })
	b := open(t, s)
	b.goTo("scenarios")
	b.types("Search symptoms, causes and codes", "nothing-like-it")
	b.sees("[role=status].hint", "0 of 2")
	b.types("Search symptoms, causes and codes", "AADSTS700211 names another")
	b.sees("[role=status].hint", "2 of 2")
	b.click("h2 a", "cluster-recreated")
	b.sees(".facts", "The cluster was made again.")
	b.click("button", "Run")
	b.sees(".outcome.good", "It happened as described. 1 expectation was looked at in 55 min of lab time.")
	b.sees("table", "clock")
	b.click(".crumb a", "Scenarios")
	b.click("h2 a", "never-so")
	b.click("button", "Run")
	b.sees(".outcome.bad", "It did not happen as described")
	b.sees("pre", "results.hello.exitCode == 0")
	for _, e := range s.Journal().Events() {
		if e.Kind == journal.Run {
			t.Errorf("the lab of the server was touched: %s", e.Summary)
		}
	}
	b.quiet()
}

// What happened in the session is saved as a scenario that loads, and as a recording.
func TestASessionIsSaved(t *testing.T) {
	t.Parallel()
	var library *scenarioapi.Library
	opts := optionsOf(t, func(o *session.Options) { library = withScenarios(t, o) })
	s, recorder, err := recording.Start(t.Context(), opts, nil, recording.Options{})
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, s)
	library.Record(recorder)
	if err := s.Emulator().ControlClient().Do(t.Context(), http.MethodPost, "/v1/workloads", session.Attachment{Spec: web("dev")}, new(any)); err != nil {
		t.Fatal(err)
	}
	if code := exchange(t, s, web("dev")); code != 700213 {
		t.Fatal(code)
	}
	b := open(t, s)
	b.goTo("scenarios")
	eval[bool](b, "(window.saved = []) && Boolean(URL.createObjectURL = (blob) => { blob.text().then((text) => saved.push(text)); return '#/scenarios'; })")
	b.click("summary", "Save this session as a scenario or a recording")
	b.types("Name", "Not A Name")
	b.click("button", "Save")
	b.sees(".wrong", "expected lower-case letters, digits and hyphens")
	b.types("Name", "wrong-namespace")
	b.click("button", "Save")
	b.sees(".outcome.good", "wiemu scenario run wrong-namespace.yaml")
	b.until("the scenario", "saved.length === 1")
	drafted, err := scenario.Parse("wrong-namespace.yaml", []byte(eval[string](b, "saved[0]")))
	if err != nil || drafted.Metadata.Name != "wrong-namespace" || !strings.Contains(eval[string](b, "saved[0]"), "700213") {
		t.Errorf("%v: %s", err, eval[string](b, "saved[0]"))
	}
	b.chooses("As", "Recording")
	b.click("button", "Save")
	b.sees(".outcome.good", "wiemu replay wrong-namespace.wiemu.json")
	b.until("the recording", "saved.length === 2")
	recorded, err := recording.Parse("wrong-namespace.wiemu.json", []byte(eval[string](b, "saved[1]")))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(recorded.Inputs); n == 0 || recorded.Inputs[n-1].Outcome.Code != 700213 {
		t.Errorf("%d requests are recorded, want the refused one last", n)
	}
	b.forget() // the browser logs the answer with status 400
}

// A server without the library says where it is.
func TestAServerWithoutScenarios(t *testing.T) {
	t.Parallel()
	b := open(t, labOf(t, nil))
	b.goTo("scenarios")
	b.sees("main", "wiemu scenario run")
	b.forget() // the browser logs the answer with status 404
}

// every page with something on it, for eyes and for axe.
func everyPage(t *testing.T, visit func(b *tab, name string)) {
	s := labOf(t, func(o *session.Options) {
		withScenarios(t, o)
		o.Workloads = append(o.Workloads, workload.Spec{Workload: workload.Workload{Component: "orders", Namespace: "shop", ServiceAccount: "orders-sa", ClientID: "0b7a3e0a-8d0e-4c52-a0a1-5f7d3f1e2c3d"}})
		o.Emulator.Config.Applications = []config.Application{{Principal: config.Principal{Name: "orders-api", ClientID: "6f9f6a0e-5c0c-4d5e-9a39-2f4c8f5b7f11"}, Secrets: []config.Secret{{Value: "not-a-real-secret"}}}}
	})
	for range 3 {
		exchange(t, s, web("dev"))
	}
	exchange(t, s, web("prod"))
	exchange(t, s, web("dev"))
	b := open(t, s)
	refused := ""
	for _, e := range s.Journal().Events() {
		if e.Code == 700213 {
			refused = e.ID
		}
	}
	for _, p := range []struct{ name, page, at string }{
		{"workloads", "workloads", "article"}, {"trust", "trust", "table"}, {"identity", "trust/" + clientID, "table"}, {"application", "trust/6f9f6a0e-5c0c-4d5e-9a39-2f4c8f5b7f11", "dl"},
		{"add-credential", "trust/" + clientID + "/add", "form"}, {"live", "live", ".row"}, {"refusal", "live/" + refused, ".panel .chain"},
		{"token", "token", "form"}, {"control", "control", "form.control"}, {"resources", "resources", "article"}, {"scenarios", "scenarios", "article"}, {"scenario", "scenarios/never-so", ".actions"}, {"errors", "errors", "details"},
	} {
		b.goTo(p.page)
		b.until("page "+p.page, fmt.Sprintf("document.querySelector(%q) !== null", p.at))
		if p.name == "token" {
			b.chooses("Or issue a new service-account token for", "my-radix-app-dev")
			b.sees("main", "refused with AADSTS700213")
		}
		if p.name == "scenario" {
			b.click("button", "Run")
			b.sees("pre", "results.hello.exitCode")
		}
		visit(b, p.name)
	}
	b.quiet()
}

// With -screenshots DIR every page is drawn, light and dark, wide and narrow.
func TestScreenshots(t *testing.T) {
	if *screenshots == "" {
		t.Skip("no -screenshots DIR")
	}
	everyPage(t, func(b *tab, name string) {
		// Pictures of the documentation are of no machine.
		eval[bool](b, "document.querySelectorAll('code').forEach((c) => { if (c.textContent.endsWith('azure-identity-token')) c.textContent = c.textContent.replace(/^.*?tokens/, '/run/user/1000/wiemu/tokens'); }) ?? true")
		for _, dark := range []bool{false, true} {
			for width, size := range map[int64]string{1280: "wide", 390: "narrow"} {
				b.dark(dark)
				b.do(chromedp.EmulateViewport(width, 900), chromedp.Sleep(300*time.Millisecond)) // wall time: it is drawn again
				shot, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
				if err != nil {
					t.Fatal(err)
				}
				if width == 1280 && !dark && (name == "workloads" || name == "refusal") {
					picture, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
					if err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(filepath.Join(*screenshots, "console-"+name+".png"), picture, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				scheme := map[bool]string{true: "dark", false: "light"}[dark]
				if err := os.WriteFile(filepath.Join(*screenshots, name+"-"+size+"-"+scheme+".png"), shot, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		b.dark(false)
		b.size(1280, 900)
	})
}

// violation is what axe finds.
type violation struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// No page is wider than a phone, and axe finds nothing on any: light, dark, and on a phone, where
// tables are lists.
func TestEveryPageIsForEverybody(t *testing.T) {
	t.Parallel()
	axe, missing := axeSource(t)
	everyPage(t, func(b *tab, name string) {
		if axe != "" {
			if !eval[bool](b, "Boolean(window.axe)") { // it stays when the next page is shown
				eval[bool](b, axe+"; true")
			}
			inspect(b, name)
			b.dark(true)
			inspect(b, name+", dark")
			b.dark(false)
		}
		b.size(360, 740)
		if axe != "" {
			inspect(b, name+", 360 pixels wide")
		}
		if over := eval[int](b, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
			t.Errorf("page %s is %d pixels wider than a phone", name, over)
		}
		b.size(1280, 900)
	})
	if axe == "" {
		t.Skip(missing)
	}
}

// inspect fails with what axe finds on a page.
func inspect(b *tab, name string) {
	b.t.Helper()
	for _, v := range eval[[]violation](b, "axe.run(document, { resultTypes: ['violations'] }).then((r) => r.violations)") {
		for _, n := range v.Nodes[:min(3, len(v.Nodes))] {
			b.t.Errorf("page %s: %s: %s\n%s\n%s", name, v.ID, v.Help, n.HTML, n.Summary)
		}
	}
}

// axeSource is axe-core, from npm. Without npm it is missing, unless WIEMU_REQUIRE demands it.
func axeSource(t *testing.T) (source, missing string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json"} {
		data, err := os.ReadFile(filepath.Join("testdata", "axe", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "npm", "ci", "--silent", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		if os.Getenv("WIEMU_REQUIRE") != "" {
			t.Fatalf("npm ci: %v: %s", err, out)
		}
		return "", fmt.Sprintf("axe-core cannot be had from npm: %v: %s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text), ""
}
