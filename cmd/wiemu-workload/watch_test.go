package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

func TestWatch(t *testing.T) {
	for _, test := range []struct {
		name     string
		watch    watch
		stopped  time.Duration // 0: not
		fails    int           // the attempt that fails; 0: none
		attempts int
		ok       bool
		took     time.Duration
	}{
		{name: "a number of times", watch: watch{every: time.Minute, times: 3}, attempts: 3, ok: true, took: 2 * time.Minute},
		{name: "for a day", watch: watch{every: time.Hour, lasts: 24 * time.Hour}, attempts: 24, ok: true, took: 24 * time.Hour},
		{name: "until stopped", watch: watch{every: time.Minute}, stopped: 150 * time.Second, attempts: 3, ok: true, took: 150 * time.Second},
		{name: "one fails", watch: watch{every: time.Minute, times: 3}, fails: 2, attempts: 3, took: 2 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.stopped > 0 {
					time.AfterFunc(test.stopped, cancel)
				}
				n := 0
				do := func(ctx context.Context, _ azcore.TokenCredential) (Answer, error) {
					if n++; n == test.fails {
						return Answer{}, io.ErrUnexpectedEOF
					}
					return Answer{}, ctx.Err() // an attempt that has begun is not broken off
				}
				c := command{options: options{credential: "workload"}, parts: []part{{"secret get", do}}}
				t.Setenv("AZURE_TENANT_ID", "tenant")
				t.Setenv("AZURE_CLIENT_ID", "client")
				t.Setenv("AZURE_FEDERATED_TOKEN_FILE", "file")
				var out bytes.Buffer
				began := time.Now()
				ok, err := test.watch.run(ctx, c, &out)
				if err != nil || ok != test.ok || time.Since(began) != test.took {
					t.Errorf("ok %v, %v, after %v; expected ok %v after %v", ok, err, time.Since(began), test.ok, test.took)
				}
				lines := strings.Split(strings.TrimSpace(out.String()), "\n")
				if len(lines) != test.attempts {
					t.Fatalf("expected %d attempts, got %d:\n%s", test.attempts, len(lines), &out)
				}
				for i, line := range lines {
					var attempt Attempt
					if err := json.Unmarshal([]byte(line), &attempt); err != nil {
						t.Fatal(err)
					}
					due := began.Add(time.Duration(i) * test.watch.every)
					if attempt.Attempt != i+1 || !attempt.Time.Equal(due) || attempt.OK == (i+1 == test.fails) {
						t.Errorf("attempt %d: %s", i+1, line)
					}
				}
			})
		})
	}
}

// Of several commands each attempt does all, and a line says which one it is of.
func TestWatchOfSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, variable := range []string{"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"} {
			t.Setenv(variable, "x")
		}
		var of []azcore.TokenCredential
		do := func(err error) action {
			return func(_ context.Context, credential azcore.TokenCredential) (Answer, error) {
				of = append(of, credential)
				return Answer{Value: 1}, err
			}
		}
		c := command{options: options{credential: "workload"}, parts: []part{{"sql query", do(nil)}, {"redis set", do(io.EOF)}}}
		var out bytes.Buffer
		ok, err := watch{every: time.Hour, times: 2}.run(t.Context(), c, &out)
		if err != nil || ok {
			t.Errorf("ok %v, %v; expected one that fails", ok, err)
		}
		var said []string
		for line := range strings.Lines(out.String()) {
			var a Attempt
			if err := json.Unmarshal([]byte(line), &a); err != nil {
				t.Fatal(err)
			}
			said = append(said, fmt.Sprint(a.Attempt, " ", a.Does, " ", a.OK))
		}
		if want := "1 sql query true, 1 redis set false, 2 sql query true, 2 redis set false"; strings.Join(said, ", ") != want {
			t.Errorf("found %s, expected %s", strings.Join(said, ", "), want)
		}
		if slices.ContainsFunc(of, func(c azcore.TokenCredential) bool { return c != of[0] }) {
			t.Error("not all had the same credential")
		}
	})
}

// tokens hands out a token a request, and fails as often as it is told to first.
type tokens struct{ fails, asked int }

func (k *tokens) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if k.asked++; k.asked <= k.fails {
		return azcore.AccessToken{}, io.ErrUnexpectedEOF
	}
	return azcore.AccessToken{Token: strings.Repeat("t", k.asked)}, nil
}

func TestHabits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		patient := &retrying{of: &tokens{fails: 3}, times: 3}
		if got, err := patient.GetToken(t.Context(), policy.TokenRequestOptions{}); err != nil || got.Token != "tttt" {
			t.Errorf("three refusals, three times more: %q, %v", got.Token, err)
		}
		if took := time.Since(began); took != 700*time.Millisecond {
			t.Errorf("waited %v, expected 100, 200 and 400 ms", took)
		}
		if _, err := (&retrying{of: &tokens{fails: 3}, times: 2}).GetToken(t.Context(), policy.TokenRequestOptions{}); err == nil {
			t.Error("three refusals, two times more: a token")
		}
		keeper := &keeping{of: &tokens{fails: 1}}
		if _, err := keeper.GetToken(t.Context(), policy.TokenRequestOptions{}); err == nil {
			t.Error("a refusal was kept")
		}
		for range 3 {
			if got, err := keeper.GetToken(t.Context(), policy.TokenRequestOptions{}); err != nil || got.Token != "tt" {
				t.Errorf("kept %q, %v", got.Token, err)
			}
		}
	})
}

// How often each way looks at the token file is what scenarios are about.
func TestAssertions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", file)
	write := func(token string) {
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for how, want := range map[string]string{"file": "a b c", "once": "a a a", "hourly": "a a c"} {
		synctest.Test(t, func(t *testing.T) {
			write("a")
			get, err := assertions[how]()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, token := range strings.Fields("a b c") {
				write(token)
				read, err := get(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, read)
				time.Sleep(35 * time.Minute) // of the bubble's clock: at once
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s: presented %v, expected %s", how, got, want)
			}
		})
	}
}
