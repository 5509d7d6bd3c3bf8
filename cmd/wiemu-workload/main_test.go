package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	msalerrors "github.com/AzureAD/microsoft-authentication-library-for-go/apps/errors"
	"github.com/jackc/pgx/v5/pgconn"
	mssql "github.com/microsoft/go-mssqldb"
)

func TestCommandLine(t *testing.T) {
	for _, test := range []struct {
		args string
		says string // in what is refused; "" when it is understood
	}{
		{args: "secret get mykeyvault mysecret"},
		{args: "secret --credential default get mykeyvault mysecret"},
		{args: "secret get mykeyvault mysecret --credential=workload"},
		{args: "token --scope https://vault.azure.net/.default"},
		{args: "token --print-token --scope https://vault.azure.net/.default"},
		{args: "token --credential managed --scope https://vault.azure.net/.default"},
		{args: "secret --credential binding get mykeyvault mysecret"},
		{args: "graph GET /v1.0/organization"},
		{args: "secret --scope https://vault.azure.net/.default get mykeyvault mysecret"},
		{args: "secret --credential assertion --assertion once --keep-token --retry 3 get mykeyvault mysecret"},
		{args: "token --credential msal --authority https://login.microsoftonline.com/t --scope s"},
		{args: "watch secret get mykeyvault mysecret"},
		{args: "watch --every 30s --for 26h --times 9 --fresh graph GET /v1.0/organization"},
		{args: "--credential default watch token --scope s"},
		{args: "blob get orders inbox dir/a.txt"},
		{args: "blob put orders inbox a.txt text"},
		{args: "watch blob link --link-for 4h --key-for 1h orders inbox a.txt"},
		{args: "watch blob lease --renew orders inbox a.txt text"},
		{args: "queue get orders jobs"},
		{args: "watch --every 1h queue --scope https://storage.azure.com/.default put orders jobs text"},
		{args: "sql query orders sales select"},
		{args: "watch --every 1h sql --conn-lifetime 9h query orders sales select + redis --reauth set orders key v + secret get a b"},
		{args: "postgres query orders postgres web select --scope s --conn-lifetime 1h"},
		{args: "redis set orders key +"},
		{args: "", says: "expected a command"},
		{args: "sql query orders select", says: "expected query SERVER DATABASE STATEMENT"},
		{args: "postgres query orders orders select", says: "expected query SERVER DATABASE ROLE STATEMENT"},
		{args: "sqlite query a b c", says: `found "sqlite"`},
		{args: "redis get --conn-lifetime 1h a b", says: "--conn-lifetime: expected the command sql or postgres"},
		{args: "sql query --conn-lifetime -1h a b c", says: "expected a duration above zero"},
		{args: "watch redis get a b + sql query --reauth a b c", says: "--reauth: expected the command redis"},
		{args: "watch redis get a b +", says: "expected a command"},
		{args: "watch redis get a b + watch redis get a b", says: `found "watch"`},
		{args: "secrets get a b", says: `found "secrets"`},
		{args: "secret get a", says: "expected get VAULT NAME"},
		{args: "secret set a b c"},
		{args: "secret set a b", says: "set VAULT NAME VALUE"},
		{args: "key rotate a b"},
		{args: "watch key unwrap --latest a b"},
		{args: "key sign a b", says: "expected rotate VAULT NAME or unwrap VAULT NAME"},
		{args: "watch certificate get --keep-certificate a b"},
		{args: "certificate list a", says: "expected get VAULT NAME"},
		{args: "watch graph --cae answer GET /v1.0/organization"},
		{args: "key unwrap --cae answer a b", says: `--cae: expected the command graph or arm, found "key unwrap a b"`},
		{args: "blob get --renew a b c", says: "--renew: expected the command blob lease"},
		{args: "blob link --link-for -1h a b c", says: "expected a duration above zero"},
		{args: "graph --cae perhaps GET /v1.0/organization", says: `expected answer or ignore, found "perhaps"`},
		{args: "blob get orders inbox", says: "expected get or link ACCOUNT CONTAINER NAME, or put or lease ACCOUNT CONTAINER NAME TEXT"},
		{args: "blob", says: "blob: expected get or link ACCOUNT"},
		{args: "queue peek orders jobs", says: "expected get ACCOUNT QUEUE or put ACCOUNT QUEUE TEXT"},
		{args: "token", says: "expected --scope"},
		{args: `graph POST /v1.0/applications --body {"displayName":"web"}`},
		{args: "graph DELETE /v1.0/applications/1"},
		{args: `arm --body {} PUT /subscriptions/1/resourceGroups/shop?api-version=2021-04-01`},
		{args: "graph GET", says: "graph: expected METHOD PATH"},
		{args: "arm HEAD /subscriptions", says: `arm: expected GET, PUT, POST, PATCH or DELETE, found "HEAD"`},
		{args: "arm get /subscriptions", says: `found "get"`},
		{args: "arm DELETE /subscriptions --body {}", says: "--body: expected PUT, POST or PATCH, found DELETE"},
		{args: "arm PUT /subscriptions --body {", says: `--body: expected JSON, found "{"`},
		{args: "secret get a b --body {}", says: "--body: expected the command graph or arm"},
		{args: "token --scope x --credential cli", says: `expected one of assertion, binding, default, environment, imds, managed, msal, pipelines, post, workload, found "cli"`},
		{args: "token --scope x --credential post --assertion twice", says: `expected one of file, github, hourly, managed, once, found "twice"`},
		{args: "token --scope x --assertion once", says: "expected --credential assertion, msal or post"},
		{args: "token --scope x --credential assertion --authority https://x", says: "expected --credential msal or post"},
		{args: "token --scope x --every 1m", says: "--every: expected watch before the command"},
		{args: "watch --every 0s token --scope x", says: "--every: expected a duration above zero"},
		{args: "watch --times -1 token --scope x", says: "expected nothing below zero"},
		{args: "watch", says: "expected a command"},
		{args: "watch watch token --scope x", says: `found "watch"`},
		{args: "token --scop x", says: "not defined"},
	} {
		_, err := parse(strings.Fields(test.args))
		if test.says == "" && err != nil {
			t.Errorf("%q: %v", test.args, err)
		}
		if test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%q: expected an error that says %q, got %v", test.args, test.says, err)
		}
	}
}

func TestExitCodes(t *testing.T) {
	for _, variable := range []string{"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST"} {
		t.Setenv(variable, "") // restored afterwards
	}
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", t.TempDir()+"/missing")
	t.Setenv("AZURE_TENANT_ID", "not a tenant")
	var out, diagnostics bytes.Buffer
	if code := run(context.Background(), []string{"token", "--scope", "s"}, &out, &diagnostics); code != 1 {
		t.Errorf("no credential: exit code %d", code)
	}
	var answer Answer
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil || answer.OK || answer.Error == "" {
		t.Errorf("no credential: answered %s (%v)", out.Bytes(), err)
	}
	out.Reset()
	if code := run(context.Background(), []string{"tokens"}, &out, &diagnostics); code != 2 || out.Len() > 0 {
		t.Errorf("unknown command: exit code %d, output %q", code, &out)
	}
	if code := run(context.Background(), []string{"--help"}, &out, &diagnostics); code != 0 || !strings.Contains(out.String(), "secret get VAULT NAME") {
		t.Errorf("help: exit code %d, output %q", code, &out)
	}
}

func TestRefusals(t *testing.T) {
	const entra = `{"error":"invalid_client","error_description":"AADSTS700213: No matching federated identity record found","error_codes":[700213],"trace_id":"t","correlation_id":"c"}`
	const vault = `{"error":{"code":"SecretNotFound","message":"A secret with (name/id) x was not found"}}`
	for _, test := range []struct {
		name string
		err  error
		want Answer
	}{
		{
			name: "the token service refuses",
			err:  &azidentity.AuthenticationFailedError{RawResponse: response(401, "https://login.microsoftonline.com/t/oauth2/v2.0/token", entra)},
			want: Answer{Error: "AADSTS700213: No matching federated identity record found", Code: 700213, Reason: "invalid_client",
				Status: 401, Host: "login.microsoftonline.com", TraceID: "t", CorrelationID: "c"},
		},
		{
			name: "the token service answers something else",
			err:  &azidentity.AuthenticationFailedError{RawResponse: response(502, "https://login.microsoftonline.com/", "<html>")},
			want: Answer{Status: 502, Host: "login.microsoftonline.com"},
		},
		{
			name: "the vault refuses",
			err:  runtime.NewResponseError(response(404, "https://mykeyvault.vault.azure.net/secrets/x/", vault)),
			want: Answer{Error: "A secret with (name/id) x was not found", Reason: "SecretNotFound", Status: 404, Host: "mykeyvault.vault.azure.net"},
		},
		{
			name: "Graph refuses",
			err:  &httpError{response(403, "https://graph.microsoft.com/v1.0/organization", `{"error":{"code":"Authorization_RequestDenied","message":"Insufficient privileges"}}`)},
			want: Answer{Error: "Insufficient privileges", Reason: "Authorization_RequestDenied", Status: 403, Host: "graph.microsoft.com"},
		},
		{
			name: "the token service refuses MSAL",
			err:  fmt.Errorf("exchange: %w", msalerrors.CallErr{Resp: response(401, "https://login.microsoftonline.com/t/oauth2/v2.0/token", entra)}),
			want: Answer{Error: "AADSTS700213: No matching federated identity record found", Code: 700213, Reason: "invalid_client",
				Status: 401, Host: "login.microsoftonline.com", TraceID: "t", CorrelationID: "c"},
		},
		{
			name: "Azure SQL refuses",
			err:  fmt.Errorf("connect: %w", mssql.Error{Number: 18456, Message: "Login failed for user '<token-identified principal>'."}),
			want: Answer{Error: "Login failed for user '<token-identified principal>'.", Reason: "18456"},
		},
		{
			name: "PostgreSQL refuses",
			err:  fmt.Errorf("connect: %w", &pgconn.PgError{Severity: "FATAL", Code: "28P01", Message: `password authentication failed for user "web"`}),
			want: Answer{Error: `password authentication failed for user "web"`, Reason: "28P01"},
		},
		{
			name: "something else",
			err:  errors.New("no route to host"),
			want: Answer{Error: "no route to host"},
		},
	} {
		got := refusal(test.err)
		if test.want.Error == "" {
			test.want.Error = got.Error // the SDK's own words
		}
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(test.want)
		if got.Error == "" || !bytes.Equal(a, b) {
			t.Errorf("%s:\n got  %s\n want %s", test.name, a, b)
		}
	}
}

func TestChallenges(t *testing.T) {
	claims := base64.StdEncoding.EncodeToString([]byte(`{"access_token":{}}`))
	for header, want := range map[string]string{
		`Bearer realm="", error="insufficient_claims", claims="` + claims + `"`: `{"access_token":{}}`,
		`Bearer realm=""`:     "",
		`Bearer claims="no "`: "",
		`Bearer claims="e30=`: "{}",
		"":                    "",
	} {
		refused := response(401, "https://graph.microsoft.com/v1.0/organization", "")
		refused.Header.Set("WWW-Authenticate", header)
		if got := challenged(fmt.Errorf("ask: %w", &httpError{refused})); got != want {
			t.Errorf("%s: the claims are %q, expected %q", header, got, want)
		}
	}
	if got := challenged(errors.New("no route to host")); got != "" {
		t.Errorf("no answer asks for claims %q", got)
	}
}

func TestClaims(t *testing.T) {
	payload := base64.RawURLEncoding.EncodeToString([]byte(`{"appid":"x"}`))
	if got, err := claims("e30." + payload + ".s"); err != nil || string(got) != `{"appid":"x"}` {
		t.Errorf("claims: %s, %v", got, err)
	}
	for _, wrong := range []string{"", "a.b", "a.*.c", "a." + base64.RawURLEncoding.EncodeToString([]byte("{")) + ".c"} {
		if _, err := claims(wrong); err == nil {
			t.Errorf("claims of %q were read", wrong)
		}
	}
}

func response(status int, address, body string) *http.Response {
	u, _ := url.Parse(address)
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(body)), Request: &http.Request{Method: http.MethodPost, URL: u},
	}
}
