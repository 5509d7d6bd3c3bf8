// Package azurite has Azurite store what storage accounts hold: it starts one, and hands
// on requests that package storage has allowed, each signed anew with the account's key,
// which nobody else knows. Azurite lives on the machine's clock: leases, the visibility of
// messages and Last-Modified are its.
package azurite

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/resource/storage"
)

// Azurite is a storage.Backend.
type Azurite struct {
	clock     clock.Clock
	process   *process
	addresses map[storage.Service]string // host:port
	keys      map[string][]byte          // by account
	forward   *httputil.ReverseProxy
}

// Start runs a command as Azurite, such as azurite, or node with the path of azurite.js,
// and returns when it listens. It has the given accounts and no others, in memory. The
// caller closes it.
func Start(ctx context.Context, command, accounts []string, clk clock.Clock) (*Azurite, error) {
	a := &Azurite{clock: clk, keys: map[string][]byte{}}
	var named []string
	for _, name := range accounts {
		a.keys[name] = make([]byte, 64)
		_, _ = rand.Read(a.keys[name]) // never fails (crypto/rand)
		named = append(named, name+":"+base64.StdEncoding.EncodeToString(a.keys[name]))
	}
	var err error
	if a.process, err = start(command, "AZURITE_ACCOUNTS="+strings.Join(named, ";")); err != nil {
		return nil, err
	}
	if a.addresses, err = a.process.ready(ctx); err != nil {
		return nil, errors.Join(err, a.process.Close())
	}
	a.forward = &httputil.ReverseProxy{
		FlushInterval: -1,
		// Node closes idle connections after 5 seconds.
		Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64, IdleConnTimeout: 4 * time.Second},
		Rewrite:   a.rewrite, ModifyResponse: own, ErrorHandler: a.unreachable,
	}
	return a, nil
}

// Close ends Azurite, and with it all that it stored.
func (a *Azurite) Close() error {
	a.forward.Transport.(*http.Transport).CloseIdleConnections()
	return a.process.Close()
}

// Open implements storage.Backend. Azurite reads its accounts from its environment, which
// nobody can change.
func (a *Azurite) Open(account string) error {
	if a.keys[account] == nil {
		return fmt.Errorf("Azurite has the accounts that were there when it started; accounts that are added later need backend: memory")
	}
	return nil
}

// Drop implements storage.Backend. Azurite keeps what its accounts hold as long as it runs.
func (a *Azurite) Drop(string) {}

type targetKey struct{}

// Serve implements storage.Backend.
func (a *Azurite) Serve(w http.ResponseWriter, r *http.Request, t storage.Target) {
	r = r.WithContext(context.WithValue(r.Context(), targetKey{}, t))
	if ambiguous(t, r.URL) {
		storage.WriteError(w, r, t.Service, a.clock.Now(), storage.Error{
			Status: http.StatusBadRequest, Code: "InvalidUri", Message: "The requested URI does not represent any resource on the server.",
		})
		return
	}
	if t.Source != nil && (r.Header.Get("x-ms-blob-type") != "" || r.URL.Query().Get("comp") != "") {
		a.putFromURL(w, r, t)
		return
	}
	a.forward.ServeHTTP(&answer{ResponseWriter: w}, r)
}

// target is what a request that Serve began is about.
func target(r *http.Request) storage.Target {
	t, _ := r.Context().Value(targetKey{}).(storage.Target)
	return t
}

// explainer is a ResponseWriter that can write into the journal why an answer is an error.
type explainer interface{ Explain(meaning, remedy string) }

// unreachable answers as the service does when something in it fails, and tells the
// journal why: most often, Azurite has ended.
func (a *Azurite) unreachable(w http.ResponseWriter, r *http.Request, err error) {
	meaning := "Azurite could not be asked: " + err.Error() + "."
	if ended := a.process.ended(); ended != nil {
		meaning = "Azurite, which stores this account, has ended: " + ended.Error() + "."
	}
	if e, ok := w.(explainer); ok {
		e.Explain(meaning, "Start the lab again: what Azurite stored in memory is lost. Blobs and queues need no Azurite (backend: memory).")
	}
	storage.WriteError(w, r, target(r).Service, a.clock.Now(), storage.Error{
		Status: http.StatusInternalServerError, Code: "InternalError", Message: "The server encountered an internal error. Please retry the request.",
	})
}

var _ storage.Backend = (*Azurite)(nil)
