package recording_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/keyring"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/recording"
	"github.com/wiemu/wiemu/harness/workload"
)

var (
	start = time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)
	web   = harness.Declared{Workload: workload.Workload{Component: "web", Namespace: "shop", ServiceAccount: "web-sa", ClientID: "b96d264b-7053-4465-a4a7-32be5b0fec49"}}
)

// pool is shared by the tests: keys are dear.
var pool *keyring.Pool

func TestMain(m *testing.M) {
	var err error
	if pool, err = keyring.OpenPool("", keyring.PoolOptions{}); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// session is a lab that is recorded, and what a program in it can do.
type session struct {
	*testing.T
	lab      *harness.Lab
	recorder *recording.Recorder
	control  *control.Client
	env      harness.Environment
}

func record(t *testing.T, c config.Config, o recording.Options) *session {
	t.Helper()
	keys := pool.Lease()
	lab, recorder, err := recording.Start(t.Context(), harness.Options{
		Emulator: emulator.Options{Config: c, Clock: clock.Stopped(start), Keys: keys},
	}, []harness.Declared{web}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		_ = keys.Close() // a lease
	})
	s := &session{T: t, lab: lab, recorder: recorder, control: &control.Client{URL: lab.Emulator().ControlURL(), Token: lab.Emulator().Token()}}
	if s.env, err = harness.Attach(t.Context(), s.control, web, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *session) do(r *http.Request) (int, string) {
	s.Helper()
	resp, err := s.lab.Emulator().Transport().RoundTrip(r.WithContext(s.Context()))
	if err != nil {
		s.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// assertion is the token in the workload's file.
func (s *session) assertion() string {
	s.Helper()
	text, err := os.ReadFile(s.env.TokenFile)
	if err != nil {
		s.Fatal(err)
	}
	return string(text)
}

// exchange asks for an access token, "" when it was refused.
func (s *session) exchange(form url.Values) (access string, answer string) {
	s.Helper()
	for name, value := range map[string]string{
		"client_id": web.Workload.ClientID, "grant_type": "client_credentials", "scope": "https://vault.azure.net/.default",
		"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
	} {
		if !form.Has(name) {
			form.Set(name, value)
		}
	}
	if form.Has("client_secret") {
		form.Del("client_assertion_type")
	}
	r, err := http.NewRequest(http.MethodPost, "https://login.microsoftonline.com/"+s.env.TenantID+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	_, text := s.do(r)
	var reply struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(text), &reply); err != nil {
		s.Fatal(err)
	}
	return reply.AccessToken, text
}

// secret reads, or with a value sets, the secret of the default vault.
func (s *session) secret(access, value string) int {
	s.Helper()
	method, body := http.MethodGet, ""
	if value != "" {
		method, body = http.MethodPut, `{"value":"`+value+`"}`
	}
	r, err := http.NewRequest(method, "https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.6", strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	if access != "" {
		r.Header.Set("Authorization", "Bearer "+access)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	status, _ := s.do(r)
	return status
}

func (s *session) advance(by string) {
	s.Helper()
	if _, err := s.control.Advance(s.Context(), by); err != nil {
		s.Fatal(err)
	}
}

// written is the recording as a file has it.
func (s *session) written() string {
	s.Helper()
	recorded, err := s.recorder.Recording(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	var text bytes.Buffer
	if err := recorded.Write(&text); err != nil {
		s.Fatal(err)
	}
	return text.String()
}

// replay plays what a file has.
func replay(t *testing.T, text string) *recording.Result {
	t.Helper()
	recorded, err := recording.Parse("session.wiemu.json", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	result, err := recording.Replay(t.Context(), recorded, harness.Options{Emulator: emulator.Options{Keys: pool}})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func wantSame(t *testing.T, result *recording.Result) {
	t.Helper()
	if result.Same {
		return
	}
	for _, c := range result.Inputs {
		for _, d := range c.Differences {
			t.Errorf("input %d (%s): %s was %s, is %s", c.ID, c.Request, d.Field, d.Recorded, d.Now)
		}
	}
	for _, d := range result.Events {
		t.Errorf("%s was %s, is %s", d.Field, d.Recorded, d.Now)
	}
}

// aDay is a session in which much happens: a rotation, an old assertion, an old
// access token, secrets.
func aDay(s *session) (secrets []string) {
	old := s.assertion()
	access, _ := s.exchange(url.Values{"client_assertion": {old}})
	secrets = append(secrets, old, access)
	s.secret("", "")
	s.secret(access, "")
	s.secret(access, "a new value of the secret")
	if _, err := s.control.Rotate(s.Context(), "local"); err != nil {
		s.Fatal(err)
	}
	s.advance("70m")
	s.exchange(url.Values{"client_assertion": {old}})
	fresh := s.assertion()
	again, _ := s.exchange(url.Values{"client_assertion": {fresh}})
	s.secret(again, "")
	s.advance("25h")
	s.secret(again, "")
	return append(secrets, fresh, again, "a new value of the secret", "the secret of wiemu")
}

func TestASessionReplaysAsItWas(t *testing.T) {
	s := record(t, config.Config{}, recording.Options{})
	secrets := aDay(s)
	text := s.written()
	if os.Getenv("SHOW") != "" {
		t.Log(text)
	}
	for _, secret := range secrets {
		if signature := secret[strings.LastIndexByte(secret, '.')+1:]; strings.Contains(text, signature) {
			t.Errorf("the file has a secret in it: %s", signature)
		}
	}
	result := replay(t, text)
	wantSame(t, result)
	if result.Requests != 10 || result.Refusals["AADSTS700024"] != 1 || result.Refusals["401 Unauthorized"] != 1 {
		t.Errorf("%d requests, refusals %v", result.Requests, result.Refusals)
	}
}
