package storage_test

import (
	"encoding/xml"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
	"github.com/wiemu/wiemu/internal/resource/storage"
)

const challenge = "Bearer authorization_uri=https://login.microsoftonline.com/" + tokentest.Tenant + "/oauth2/authorize resource_id=https://storage.azure.com"

// Each refusal has the status, code and detail of the real service; where the real body is
// known, also its length.
func TestRefusals(t *testing.T) {
	l := newLab(t, reader())
	now := l.clock.Now().Unix()
	storageToken := l.token()
	mint := func(change tokentest.Claims) string { return l.tokens.Mint(t, "https://storage.azure.com", change) }
	old := func(v string) []string { return []string{"x-ms-version", v} }
	for _, row := range []struct {
		name, method, url, token string
		headers                  []string
		status                   int
		code, detail             string
		length                   int // of the body, where it was seen
	}{
		{"no token", "GET", blob, "", nil, 401, "NoAuthenticationInformation", "", 0},
		{"no token, HEAD", "HEAD", blob, "", nil, 401, "NoAuthenticationInformation", "", 0},
		{"no token, before challenges", "GET", blob, "", old("2018-11-09"), 409, "PublicAccessNotPermitted", "Public access is not permitted on this storage account.", 0},
		{"no token, no version", "GET", blob, "", old(""), 409, "PublicAccessNotPermitted", "", 0},
		{"Graph's token", "GET", blob, l.tokens.Mint(t, "https://graph.microsoft.com", nil), nil, 401, "InvalidAuthenticationInfo", "Audience validation failed. Audience did not match.", 406},
		{"another tenant's", "GET", blob, mint(tokentest.Claims{"tid": another}), nil, 401, "InvalidAuthenticationInfo", "Issuer validation failed. Issuer did not match.", 402},
		{"expired", "GET", blob, mint(tokentest.Claims{"exp": now - 600}), nil, 401, "InvalidAuthenticationInfo", "Lifetime validation failed. The token is expired.", 0},
		{"not yet valid", "GET", blob, mint(tokentest.Claims{"nbf": now + 600}), nil, 401, "InvalidAuthenticationInfo", "Lifetime validation failed. The token is not yet valid.", 0},
		{"changed", "GET", blob, storageToken[:len(storageToken)-8] + "AAAAAAAA", nil, 401, "InvalidAuthenticationInfo", "Signature validation failed.", 0},
		{"no JWT", "GET", blob, "hello", nil, 401, "InvalidAuthenticationInfo", "Signature validation failed.", 0},
		{"expired, before challenges", "GET", blob, mint(tokentest.Claims{"exp": now - 600}), old("2019-02-02"), 403, "AuthenticationFailed", "Lifetime validation failed. The token is expired.", 0},
		{"before bearer tokens", "GET", blob, storageToken, old("2015-12-11"), 403, "AuthenticationFailed", "Authentication scheme Bearer is not supported in this version.", 0},
		{"without a version", "GET", blob, storageToken, old(""), 403, "AuthenticationFailed", "Authentication scheme Bearer is not supported in this version.", 0},
		{"with the first version of bearer tokens", "GET", blob, storageToken, old("2017-11-09"), 200, "", "hello", 0},
		{"an account key", "GET", blob, "", []string{"Authorization", "SharedKey orders:x"}, 403, "KeyBasedAuthenticationNotPermitted", "Key based authentication is not permitted on this storage account.", 0},
		{"an account key, lite", "GET", blob, "", []string{"Authorization", "SharedKeyLite orders:x"}, 403, "KeyBasedAuthenticationNotPermitted", "", 0},
		{"an account SAS", "GET", blob + "?sv=2022-11-02&ss=b&srt=sco&sp=rl&se=2031-03-05T00:00:00Z&sig=x", "", nil, 403, "KeyBasedAuthenticationNotPermitted", "", 0},
		{"a service SAS", "GET", blob + "?sv=2022-11-02&sr=b&sp=r&se=2031-03-05T00:00:00Z&sig=x", "", nil, 403, "KeyBasedAuthenticationNotPermitted", "", 0},
		{"a reader writes", "PUT", blob, storageToken, []string{"x-ms-blob-type", "BlockBlob"}, 403, "AuthorizationPermissionMismatch", "This request is not authorized to perform this operation using this permission.", 279},
		{"a reader writes, HEAD", "HEAD", "https://orders" + domain + "/?restype=account&comp=properties", storageToken, nil, 403, "AuthorizationPermissionMismatch", "", 0},
		{"another account", "GET", "https://nobody" + domain + "/c/b", storageToken, nil, 404, "ResourceNotFound", "would not resolve", 0},
		{"a secondary location", "GET", "https://orders-secondary" + domain + "/c/b", storageToken, nil, 404, "ResourceNotFound", "", 0},
		{"a blob that is not there", "GET", "https://orders" + domain + "/inbox/none", storageToken, nil, 404, "BlobNotFound", "The specified blob does not exist.", 0},
		{"a blob that is not there, HEAD", "HEAD", "https://orders" + domain + "/inbox/none", storageToken, nil, 404, "BlobNotFound", "", 0},
		{"an unknown comp", "GET", blob + "?comp=nothing", storageToken, nil, 400, "InvalidQueryParameterValue", "<QueryParameterName>comp</QueryParameterName><QueryParameterValue>nothing</QueryParameterValue>", 0},
		{"an unknown verb", "POST", blob, storageToken, nil, 405, "UnsupportedHttpVerb", "The resource doesn't support specified Http Verb.", 0},
		{"a preflight request", "OPTIONS", blob, "", []string{"Origin", "https://example.com"}, 403, "CorsPreflightFailure", "", 0},
		{"dfs", "GET", "https://orders.dfs.core.windows.net/inbox?resource=filesystem", storageToken, nil, 501, "NotImplemented", "Data Lake Storage (dfs). Use the blob endpoint", 0},
		{"files", "GET", "https://orders.file.core.windows.net/share", storageToken, nil, 501, "NotImplemented", "Azure Files. Use blobs", 0},
		{"tables", "GET", "https://orders.table.core.windows.net/Tables", "", nil, 401, "NoAuthenticationInformation", `{"odata.error":{"code":"NoAuthenticationInformation","message":{"lang":"en-US","value":`, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := l.ask(row.method, row.url, row.token, "", row.headers...)
			if a.StatusCode != row.status || a.code() != row.code || row.method != "HEAD" && !strings.Contains(a.text, row.detail) {
				t.Errorf("expected %d %s %q, found %d %v %s", row.status, row.code, row.detail, a.StatusCode, a.Header, a.text)
			}
			if row.length != 0 && len(a.text) != row.length {
				t.Errorf("expected %d bytes, found %d: %s", row.length, len(a.text), a.text)
			}
			if row.method == "HEAD" && a.text != "" {
				t.Errorf("HEAD has a body: %s", a.text)
			}
			if got := a.Header.Get("WWW-Authenticate"); row.status == 401 && got != challenge || row.status != 401 && got != "" {
				t.Errorf("challenge: %q", got)
			}
			if e := l.last(); e.Status != row.status || row.status != 200 && (e.Outcome != journal.Denied || e.Error != row.code || e.Meaning == "") {
				t.Errorf("the journal has %+v", e)
			}
		})
	}
}

// The body of a refused audience, byte for byte: azure-sdk-for-js, storage-blob, recordings
// of "bearer token challenge should work".
func TestARefusedAudience(t *testing.T) {
	l := newLab(t, reader())
	a := l.ask("GET", blob, l.tokens.Mint(t, "https://vault.azure.net", nil), "", "x-ms-client-request-id", "mine")
	id := a.Header.Get("x-ms-request-id")
	expected := "\ufeff" + `<?xml version="1.0" encoding="utf-8"?><Error><Code>InvalidAuthenticationInfo</Code><Message>Server failed to authenticate the request. Please refer to the information in the www-authenticate header.
RequestId:` + id + `
Time:2031-03-04T05:06:07.0000000Z</Message><AuthenticationErrorDetail>Audience validation failed. Audience did not match.</AuthenticationErrorDetail></Error>`
	if a.text != expected {
		t.Errorf("expected %q\n   found %q", expected, a.text)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/xml", "Server": "Microsoft-HTTPAPI/2.0", "x-ms-error-code": "InvalidAuthenticationInfo", "Content-Length": "406",
		"x-ms-version": "", "x-ms-client-request-id": "", // not in a 401
	} {
		if found := a.Header.Get(name); found != value {
			t.Errorf("%s: expected %q, found %q", name, value, found)
		}
	}
}

// Every other answer repeats what the client sent to find it again.
func TestHeadersOfAnswers(t *testing.T) {
	l := newLab(t, reader())
	for _, row := range []struct{ method, url string }{{"GET", blob}, {"HEAD", blob}, {"GET", "https://orders" + domain + "/inbox/none"}, {"PUT", blob}} {
		a := l.ask(row.method, row.url, l.token(), "", "x-ms-client-request-id", "mine", "x-ms-blob-type", "BlockBlob")
		for name, value := range map[string]string{"Server": "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0", "x-ms-version": version, "x-ms-client-request-id": "mine", "Date": "Tue, 04 Mar 2031 05:06:07 GMT"} {
			if found := a.Header.Get(name); found != value {
				t.Errorf("%s %s: %s: expected %q, found %q", row.method, row.url, name, value, found)
			}
		}
		if id := a.Header.Get("x-ms-request-id"); len(id) != 36 {
			t.Errorf("x-ms-request-id: %q", id)
		}
		if e := l.last(); e.CorrelationID != "mine" {
			t.Errorf("the journal has %+v", e)
		}
	}
}

func TestAudiences(t *testing.T) {
	queue := "https://orders.queue.core.windows.net/?comp=list"
	l := newLab(t, storage.Account{Name: "orders", Tenant: tokentest.Tenant, Containers: map[string]map[string]string{"inbox": {"hello.txt": "hello"}}})
	for _, row := range []struct {
		audience, url string
		status        int
	}{
		{"https://storage.azure.com", blob, 200},
		{"https://storage.azure.com/", blob, 200},
		{"e406a681-f3d4-42a8-90b6-c2b029497af1", blob, 200},
		{"https://orders.blob.core.windows.net", blob, 200},
		{"https://orders.blob.core.windows.net/", blob, 200},
		{"https://reports.blob.core.windows.net", blob, 401},
		{"https://orders.queue.core.windows.net", blob, 401},
		{"https://storage.azure.com//", blob, 401},
		{"https://management.azure.com/", blob, 401},
		{"https://orders.blob.core.windows.net", queue, 401},
	} {
		if a := l.ask("GET", row.url, l.tokens.Mint(t, row.audience, nil), ""); a.StatusCode != row.status {
			t.Errorf("%s at %s: expected %d, found %d", row.audience, row.url, row.status, a.StatusCode)
		}
	}
}

func TestATokenEndsOnTheLabClock(t *testing.T) {
	l := newLab(t, reader())
	token := l.token()
	if a := l.ask("GET", blob, token, ""); a.StatusCode != 200 || a.text != "hello" {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	if err := l.clock.Advance(t.Context(), 25*time.Hour); err != nil {
		t.Fatal(err)
	}
	a := l.ask("GET", blob, token, "")
	if a.StatusCode != 401 {
		t.Errorf("found %d", a.StatusCode)
	}
	has(t, a.text, "Lifetime validation failed. The token is expired.")
}

// Faults are said as Storage says them: a busy server is 503, not 429.
func TestFaults(t *testing.T) {
	for _, row := range []struct {
		fault, code string
		status      int
	}{
		{"throttled,retry-after=3s", "ServerBusy", 503},
		{"server-error,status=503", "ServerBusy", 503},
		{"server-error,status=500", "InternalError", 500},
		{"server-error,status=502", "InternalError", 502},
		{"network-rules", "AuthorizationFailure", 403},
		{"assignment-delayed", "AuthorizationPermissionMismatch", 403},
	} {
		t.Run(row.fault, func(t *testing.T) {
			l := newLab(t, reader())
			l.inject(row.fault + ",for.resource=storage,when.count=1")
			a := l.ask("GET", blob, l.token(), "")
			if a.StatusCode != row.status || a.code() != row.code {
				t.Errorf("found %d %s %s", a.StatusCode, a.code(), a.text)
			}
			if e := l.last(); e.Error != row.code || e.Detail[journal.DetailFault] == "" {
				t.Errorf("the journal has %+v", e)
			}
			if strings.HasPrefix(row.fault, "throttled") && a.Header.Get("Retry-After") != "3" {
				t.Errorf("Retry-After: %q", a.Header.Get("Retry-After"))
			}
			if a := l.ask("GET", blob, l.token(), ""); a.StatusCode != 200 {
				t.Errorf("the next request: %d", a.StatusCode)
			}
		})
	}
}

// Owner and Contributor open no data: what most people meet first. What is missing is said
// with the line of wiemu.yaml.
func TestRoles(t *testing.T) {
	list := "https://orders" + domain + "/?comp=list"
	for _, row := range []struct {
		name, role, method, url string
		status                  int
		why                     string
	}{
		{"a reader reads", "Storage Blob Data Reader", "GET", blob, 200, ""},
		{"Contributor reads a blob", "Contributor", "GET", blob, 403, "opens none of the data"},
		{"Owner reads a blob", "Owner", "GET", blob, 403, "opens none of the data"},
		{"Storage Account Contributor reads a blob", "Storage Account Contributor", "GET", blob, 403, "opens none of the data"},
		{"Contributor lists containers", "Contributor", "GET", list, 200, ""},
		{"a contributor sets tags", "Storage Blob Data Contributor", "PUT", blob + "?comp=tags", 403, "blobs/tags/write"},
		{"a contributor lists tags", "Storage Blob Data Contributor", "GET", "https://orders" + domain + "/inbox?restype=container&comp=list&include=tags", 403, "blobs/tags/read"},
		{"an owner of the data lists tags", "Storage Blob Data Owner", "GET", "https://orders" + domain + "/inbox?restype=container&comp=list&include=tags", 200, ""},
		{"an owner of the data asks about the account", "Storage Blob Data Owner", "GET", "https://orders" + domain + "/?restype=account&comp=properties", 403, "getInfo/action"},
		{"a queue's contributor reads a blob", "Storage Queue Data Contributor", "GET", blob, 403, "blobs/read"},
		{"a delegator reads a blob", "Storage Blob Delegator", "GET", blob, 403, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLab(t, orders(row.role))
			a := l.ask(row.method, row.url, l.token(), "")
			if a.StatusCode != row.status {
				t.Fatalf("expected %d, found %d %s", row.status, a.StatusCode, a.text)
			}
			e := l.last()
			has(t, e.Meaning+e.Remedy, row.why)
			if row.status == 403 && strings.Contains(e.Remedy, "In wiemu.yaml") {
				has(t, e.Remedy, "add to access of storage account orders: - {identity: "+tokentest.ClientID+", roles: [Storage ")
			}
			if row.status == 200 {
				has(t, e.Checks[len(e.Checks)-1].Presented, row.role, "storageAccounts[0].access[0] of wiemu.yaml")
			}
		})
	}
}

// Tags that are sent with a blob need their own action besides.
func TestTagsOfAnUpload(t *testing.T) {
	for role, status := range map[string]int{"Storage Blob Data Contributor": 403, "Storage Blob Data Owner": 201} {
		l := newLab(t, orders(role))
		if a := l.ask("PUT", blob, l.token(), "x", "x-ms-blob-type", "BlockBlob", "x-ms-tags", "a=b"); a.StatusCode != status {
			t.Errorf("%s: expected %d, found %d %s", role, status, a.StatusCode, a.text)
		}
	}
}

// A role on a container opens it alone.
func TestRolesOfAContainer(t *testing.T) {
	account := orders()
	account.Access = []storage.Access{{Identity: tokentest.ClientID, Roles: []string{"Storage Blob Data Contributor"}, Container: "inbox"}}
	account.Containers["outbox"] = map[string]string{"hello.txt": "hello"}
	l := newLab(t, account)
	for _, row := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/inbox/hello.txt", 200},
		{"GET", "/inbox?restype=container&comp=list", 200},
		{"GET", "/outbox/hello.txt", 403},
		{"GET", "/?comp=list", 403},
		{"POST", "/?restype=service&comp=userdelegationkey", 403}, // it is the account's
	} {
		if a := l.ask(row.method, "https://orders"+domain+row.path, l.token(), ""); a.StatusCode != row.status {
			t.Errorf("%s %s: expected %d, found %d %s", row.method, row.path, row.status, a.StatusCode, a.text)
		}
	}
	l.ask("GET", "https://orders"+domain+"/outbox/hello.txt", l.token(), "")
	has(t, l.last().Meaning, "which is not above that")
	// Nor is it advised to have a role on all of the account.
	has(t, l.last().Remedy, "on container outbox of storage account orders, the least", ": - {identity: "+tokentest.ClientID+", roles: [Storage Blob Data Reader], container: outbox}")
}

// Who asks an account that is not there has shown no credential that is known, not none; and
// a name that accounts cannot have is not to be added.
func TestWhoAsksForAnotherAccount(t *testing.T) {
	l := newLab(t, reader())
	for _, row := range []struct{ host, query, token, who, remedy string }{
		{"other", "", "", "by somebody without a token:", "in the client, or add it in wiemu.yaml to storageAccounts: - {name: other}"},
		{"my-acct", "", l.token(), "by somebody whose token was not read:", "in the client."},
		{"orders-secondary", "?sig=abc&skoid=nope", "", "by somebody with a SAS:", "Check the account's name in the client."},
		{"orders", "?sig=abc&skoid=nope&se=2031-03-05&sp=r&sr=b", "", "by somebody with a SAS:", "Compare the string to sign"},
	} {
		l.ask("GET", "https://"+row.host+domain+"/inbox/hello.txt"+row.query, row.token, "")
		has(t, l.last().Summary, row.who)
		if e := l.last(); !strings.Contains(e.Remedy, row.remedy) || !strings.Contains(row.remedy, "add it") && strings.Contains(e.Remedy, "add it") {
			t.Errorf("%s: expected %q, found %q", row.host, row.remedy, e.Remedy)
		}
	}
}

// What is open to everybody since nothing restricts it says so once.
func TestAnAccountWithoutAccess(t *testing.T) {
	l := newLab(t, storage.Account{Name: "orders", Tenant: tokentest.Tenant, Containers: map[string]map[string]string{"inbox": {"hello.txt": "hello"}}})
	notes := 0
	for range 3 {
		if a := l.ask("GET", blob, l.tokenOf(other, otherObject), ""); a.StatusCode != 200 {
			t.Fatalf("%d %s", a.StatusCode, a.text)
		}
		if l.last().Detail[journal.DetailNote] != "" {
			notes++
		}
	}
	if notes != 1 {
		t.Errorf("expected one note, found %d", notes)
	}
	closed := newLab(t, storage.Account{Name: "orders", Tenant: tokentest.Tenant, Access: []storage.Access{}})
	if a := closed.ask("GET", blob, closed.token(), ""); a.StatusCode != http.StatusForbidden {
		t.Errorf("with an empty access: expected 403, found %d", a.StatusCode)
	}
}

// Broken answers are broken XML.
func TestBrokenAnswers(t *testing.T) {
	list := "https://orders" + domain + "/inbox?restype=container&comp=list"
	for _, fault := range []string{"", "malformed", "truncated"} {
		l := newLab(t, reader())
		if fault != "" {
			l.inject(fault + ",for.resource=storage")
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, list, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"X-Ms-Version": {version}, "Authorization": {"Bearer " + l.token()}}
		answer, err := l.mux.Transport().RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		text, cut := io.ReadAll(answer.Body)
		_ = answer.Body.Close() // it is in memory
		broken := xml.Unmarshal([]byte(strings.TrimPrefix(string(text), "\ufeff")), new(struct{ Blobs any })) != nil
		if answer.StatusCode != http.StatusOK || broken != (fault != "") || (cut != nil) != (fault == "truncated") {
			t.Errorf("%s: %d, broken %v, %v: %s", fault, answer.StatusCode, broken, cut, text)
		}
	}
}
