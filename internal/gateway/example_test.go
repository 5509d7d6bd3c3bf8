package gateway_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/gateway"
	"github.com/wiemu/wiemu/internal/hostmux"
)

// A gateway answers for its hosts in memory before it listens anywhere, and its
// answers are on lab time.
func ExampleGateway_Transport() {
	lab := clock.Stopped(time.Date(2031, 5, 17, 8, 30, 0, 0, time.UTC))
	authority, err := ca.Open("", lab, ca.Options{Names: []string{".vault.azure.net"}})
	if err != nil {
		log.Fatal(err)
	}
	g, err := gateway.New(gateway.Config{
		Clock: lab, Authority: authority,
		Routes: []hostmux.Route{{Hosts: []string{".vault.azure.net"}, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s has nothing to say", r.Host)
		})}},
	})
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: g.Transport()}
	response, err := client.Get("https://mykeyvault.vault.azure.net/")
	if err != nil {
		log.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(body))
	fmt.Println(response.Header.Get("Date"))
	_, err = client.Get("https://example.com/")
	fmt.Println(err)
	// Output:
	// mykeyvault.vault.azure.net has nothing to say
	// Sat, 17 May 2031 08:30:00 GMT
	// Get "https://example.com/": the host example.com is not emulated
}

// On the network a gateway has two addresses: the TLS listener, and the proxy that
// leads unmodified programs to it.
func ExampleGateway_Start() {
	authority, err := ca.Open("", clock.Running(), ca.Options{})
	if err != nil {
		log.Fatal(err)
	}
	g, err := gateway.New(gateway.Config{Clock: clock.Running(), Authority: authority})
	if err != nil {
		log.Fatal(err)
	}
	if err := g.Start(); err != nil {
		log.Fatal(err)
	}
	environment := gateway.Environ(g.ProxyURL()) // for a program that is to be led to the lab
	fmt.Println(len(environment) > 0, g.Escapes())
	if err := g.Close(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output: true 0
}
