// Package backends opens what stores the content of storage accounts, as wiemu.yaml chooses.
package backends

import (
	"context"
	"fmt"
	"net/http"

	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/resource/storage/azurite"
	"github.com/wiemu/wiemu/internal/resource/storage/blobs"
	"github.com/wiemu/wiemu/internal/resource/storage/queues"
)

// Open opens the backend that the options name, for accounts of the given names. Azurite
// has these and no others.
func Open(k resource.Kit, o storage.Options, accounts []string) (storage.Backend, error) {
	if o.Backend == storage.Azurite {
		return azurite.Start(context.Background(), o.Command, accounts, k.Clock)
	}
	domain := k.Cloud().Storage
	return memory{k, map[storage.Service]storage.Backend{storage.Blob: blobs.New(k.Clock, domain), storage.Queue: queues.New(k.Clock, domain)}}, nil
}

// memory has a store for each service that is in memory.
type memory struct {
	kit    resource.Kit
	stores map[storage.Service]storage.Backend
}

// Open implements storage.Backend.
func (m memory) Open(account string) error {
	for _, b := range m.stores {
		if err := b.Open(account); err != nil {
			return err
		}
	}
	return nil
}

// Drop implements storage.Backend.
func (m memory) Drop(account string) {
	for _, b := range m.stores {
		b.Drop(account)
	}
}

// Serve implements storage.Backend.
func (m memory) Serve(w http.ResponseWriter, r *http.Request, t storage.Target) {
	if b := m.stores[t.Service]; b != nil {
		b.Serve(w, r, t)
		return
	}
	storage.WriteError(w, r, t.Service, m.kit.Clock.Now(), storage.Error{
		Status: http.StatusNotImplemented, Code: "NotImplemented",
		Message: fmt.Sprintf("wiemu stores blobs and queues in memory; for the %s service, let Azurite store them (wiemu.yaml: storage: {backend: azurite}).", t.Service),
	})
}
