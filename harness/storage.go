package harness

import (
	"github.com/wiemu/wiemu/internal/resource/storage"
)

// Storage returns the storage account of that name. If it does not exist, it is created in
// the first tenant, empty, and open to all identities until [Storage.Grant].
func (l *Lab) Storage(account string) *Storage {
	l.t.Helper()
	s := &Storage{lab: l, name: account}
	if accounts := s.accounts(); !accounts.Has(account) {
		l.create(func(tenant string) error { return accounts.Put(storage.Account{Name: account, Tenant: tenant}) })
	}
	s.URL = "https://" + account + ".blob." + l.session.Emulator().Cloud().Storage + "/"
	return s
}

// Storage is a storage account as its owner sees it, who needs no token.
type Storage struct {
	URL  string // by which clients reach its blobs
	lab  *Lab
	name string
}

func (s *Storage) accounts() *storage.Accounts { return s.lab.session.Emulator().Storage() }

// Put puts a blob of text, in a container that is created if it does not exist.
func (s *Storage) Put(container, blob, text string) {
	s.lab.t.Helper()
	must(s.lab.t, s.accounts().PutBlob(s.name, container, blob, text))
}

// Blob returns the content of a blob.
func (s *Storage) Blob(container, blob string) string {
	s.lab.t.Helper()
	content, err := s.accounts().Blob(s.name, container, blob)
	must(s.lab.t, err)
	return string(content)
}

// Grant gives a workload's identity a role for the account, such as Storage Blob Data
// Reader. After the first call, nobody uses the account without one.
func (s *Storage) Grant(workload *Pod, role string) {
	s.lab.t.Helper()
	must(s.lab.t, s.accounts().Grant(s.name, workload.ClientID, role))
}
