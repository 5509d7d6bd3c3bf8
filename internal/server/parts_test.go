package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/server"
)

// What a skewed clock breaks: who is asked answers with its own time, and judges
// by it.
func TestASkewIsSeenWhereThePartDecides(t *testing.T) {
	for _, test := range []struct {
		name, part string
		by         time.Duration
		code       float64 // AADSTS of the exchange; 0: granted
		status     int     // of the secret, if the exchange was granted
	}{
		{"every clock is right", "entra", 0, 0, http.StatusOK},
		{"Entra ID is a little ahead", "entra", 4 * time.Minute, 0, http.StatusOK},
		{"Entra ID is past the assertion's end", "entra", 2 * time.Hour, 700024, 0},
		{"Entra ID is far behind", "entra", -2 * time.Hour, 700024, 0},
		{"the cluster is far ahead", "local", 2 * time.Hour, 700024, 0},
		{"the cluster is far behind", "local", -2 * time.Hour, 700024, 0},
		{"the vault is before the access token's time", "resources", -time.Hour, 0, http.StatusUnauthorized},
		{"the vault is past the access token's time", "resources", 25 * time.Hour, 0, http.StatusUnauthorized},
		{"programs are wrong", "workloads", 2 * time.Hour, 0, http.StatusOK},
	} {
		t.Run(test.name, func(t *testing.T) {
			smallLab := clock.Stopped(time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC))
			e := trusted(t, server.Options{Options: lab.Options{Clock: smallLab}})
			if err := e.Time().Skew(test.part, test.by); err != nil {
				t.Fatal(err)
			}
			client := &http.Client{Transport: e.Transport()}
			for part, url := range map[string]string{
				"entra": "https://login.microsoftonline.com/common/discovery/keys", "resources": "https://graph.microsoft.com/v1.0/applications",
				"local": e.Issuers()[0].URL() + ".well-known/openid-configuration",
			} {
				resp, err := client.Get(url)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				want := smallLab.Now()
				if part == test.part {
					want = want.Add(test.by)
				}
				if date := resp.Header.Get("Date"); date != want.Format(http.TimeFormat) {
					t.Errorf("%s answers with Date %s, want %s", part, date, want)
				}
			}
			token, err := assertion(t.Context(), e)
			if err != nil {
				t.Fatal(err)
			}
			reply, err := exchange(client, token, "https://vault.azure.net/.default")
			if err != nil {
				t.Fatal(err)
			}
			var code float64
			if codes, refused := reply["error_codes"].([]any); refused {
				code = codes[0].(float64)
			}
			if code != test.code {
				t.Fatalf("exchange: AADSTS%v, want %v: %v", code, test.code, reply["error_description"])
			}
			if code != 0 {
				return
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.6", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+reply["access_token"].(string))
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != test.status {
				t.Errorf("the secret: HTTP %d, want %d", resp.StatusCode, test.status)
			}
		})
	}
}
