package storage_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/hostmux"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/resource/storage/backends"
	"github.com/wiemu/wiemu/internal/roles"
	"github.com/wiemu/wiemu/internal/tenants"
)

const (
	version = "2025-11-05"
	domain  = ".blob.core.windows.net"
	another = "22222222-2222-4222-8222-222222222222" // a tenant, and what a principal of it is called

	other       = "aaaaaaaa-0000-4000-8000-000000000002" // another identity
	otherObject = "bbbbbbbb-0000-4000-8000-000000000002"
)

// lab is accounts with their handler, as a lab has them.
type lab struct {
	t        testing.TB
	clock    *clock.Lab
	tokens   *tokentest.Service
	journal  *journals.Journal
	faults   *faults.Set
	roles    *roles.Set
	accounts *storage.Accounts
	mux      *hostmux.Mux
}

// reader is the account orders with a blob that one identity may read.
func reader() storage.Account { return orders("Storage Blob Data Reader") }

// orders is an account for one identity, which has the given roles on all of it.
func orders(roles ...string) storage.Account {
	return storage.Account{
		Name: "orders", Tenant: tokentest.Tenant, Containers: map[string]map[string]string{"inbox": {"hello.txt": "hello", "a B/ü.txt": "hello"}},
		Access: []storage.Access{{Identity: tokentest.ClientID, Roles: roles}},
	}
}

func newLab(t testing.TB, accounts ...storage.Account) *lab {
	t.Helper()
	clk := clock.Stopped(tokentest.Start())
	j, err := journals.New(clk, journals.Options{})
	if err != nil {
		t.Fatal(err)
	}
	people, err := tenants.New(
		directory.Tenant{ID: tokentest.Tenant, Principals: []directory.Principal{
			{Kind: directory.ManagedIdentity, ClientID: tokentest.ClientID, ObjectID: tokentest.ObjectID, DisplayName: "web"},
			{Kind: directory.ManagedIdentity, ClientID: other, ObjectID: otherObject, DisplayName: "reports"},
		}},
		directory.Tenant{ID: another},
	)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, clock: clk, tokens: tokentest.New(t, clk), journal: j, faults: faults.New(clk, j, 1)}
	l.roles = roles.New(roles.Config{Clock: clk, Journal: j, Faults: l.faults, Directory: people})
	name := func(_, clientID string) string {
		if p, ok := people.Principal(tokentest.Tenant, clientID); ok {
			return p.DisplayName
		}
		return ""
	}
	made, err := storage.Description(backends.Open).Open(resource.Kit{
		Tokens: resource.NewValidator(clk, l.tokens.Source(), resource.Options{Name: name}), Clock: clk, Directory: people, Journal: j, Faults: l.faults, Roles: l.roles,
	}, (*storage.Settings)(&accounts))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.roles.Start(nil, nil); err != nil {
		t.Fatal(err)
	}
	l.accounts = made.(*storage.Accounts)
	d := storage.Description(backends.Open)
	l.mux, err = hostmux.New(clk, []hostmux.Route{{
		Hosts: d.Hosts(resource.NewValidator(clk, nil, resource.Options{}).Cloud()), Verbatim: d.Verbatim, Handler: l.faults.Answers(d.Name, l.accounts.Handler()),
		MaxBody: l.accounts.MaxBody, Unreadable: l.accounts.Unreadable(),
	}}, hostmux.Options{Journal: j})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// token is one for the first identity.
func (l *lab) token() string { return l.tokens.Mint(l.t, "https://storage.azure.com", nil) }

func (l *lab) tokenOf(clientID, objectID string) string {
	return l.tokens.Mint(l.t, "https://storage.azure.com", tokentest.Claims{"appid": clientID, "oid": objectID})
}

// answer is an answer read whole.
type answer struct {
	*http.Response
	text string
}

func (a answer) code() string { return a.Header.Get("x-ms-error-code") }

// ask sends a request with pairs of headers; if token is empty, without one.
func (l *lab) ask(method, url, token, body string, headers ...string) answer {
	l.t.Helper()
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	_, r.RequestURI, _ = strings.Cut(strings.TrimPrefix(url, "https://"), "/")
	r.RequestURI = "/" + r.RequestURI
	r.Header.Set("x-ms-version", version)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return read(l.t, hostmux.Answer(l.mux, r))
}

func read(t testing.TB, r *http.Response) answer {
	t.Helper()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close() // it is in memory
	return answer{r, string(text)}
}

// last is the last event of an access.
func (l *lab) last() (last journal.Event) {
	for _, e := range l.journal.Events() {
		if e.Kind == journal.Access {
			last = e
		}
	}
	return last
}

func (l *lab) inject(text string) {
	l.t.Helper()
	f, err := fault.Parse(text)
	if err == nil {
		_, err = l.faults.Inject(f)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// blob is one of those that orders has.
const blob = "https://orders" + domain + "/inbox/hello.txt"

func has(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("expected %q in %s", part, text)
		}
	}
}
