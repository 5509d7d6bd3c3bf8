package server_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/server"
)

// What containers are told before the emulator runs is what it then answers for.
func TestHostsOfAConfigurationAreThoseOfTheServer(t *testing.T) {
	for _, cloud := range []string{"", "AzureUSGovernment", "AzureChinaCloud"} {
		c := config.Config{Cloud: cloud, Vaults: []config.Vault{{Name: "Shop"}}, Issuers: []config.Issuer{{Name: "blue"}, {Name: "aks", URL: "https://aks.example/t/", External: true}}}
		completed, err := c.Complete("")
		if err != nil {
			t.Fatal(err)
		}
		s, err := server.Start(t.Context(), server.Options{Config: c, InMemory: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close(t.Context()) })
		hosts := lab.Hosts(completed)
		if !slices.Equal(hosts, s.Hosts()) {
			t.Errorf("%s: of the configuration are\n%v, of the server\n%v", c.Cloud, hosts, s.Hosts())
		}
		for _, host := range hosts {
			answer, err := (&http.Client{Transport: s.Transport()}).Get("https://" + host + "/")
			if err != nil {
				t.Errorf("%s: %v", c.Cloud, err)
				continue
			}
			_ = answer.Body.Close()
		}
	}
}
