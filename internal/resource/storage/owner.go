package storage

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/wiemu/wiemu/internal/roles"
)

// What the owner of an account does, who needs no token.

// Has says whether there is an account of that name.
func (s *Accounts) Has(name string) bool {
	_, ok := s.account(name)
	return ok
}

func (s *Accounts) account(name string) (account, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a, ok := s.accounts[name]
	return a, ok
}

// PutBlob puts a block blob of text, and before it the container if it does not exist.
func (s *Accounts) PutBlob(name, container, blob, text string) error {
	if _, ok := s.account(name); !ok {
		return fmt.Errorf("storage account %q: expected one of %q", name, s.Names())
	}
	if !ValidContainer(container) {
		return fmt.Errorf("storage account %s: container %q: expected %s", name, container, itemRule)
	}
	if blob == "" || len(blob) > maxBlobName {
		return fmt.Errorf("storage account %s: container %s: blob: expected a name of 1 to %d bytes, found one of %d", name, container, maxBlobName, len(blob))
	}
	return s.fill(Account{Name: name, Containers: map[string]map[string]string{container: {blob: text}}})
}

// Blob returns the content of a blob.
func (s *Accounts) Blob(name, container, blob string) ([]byte, error) {
	answer, err := s.asOwner(http.MethodGet, name, Blob, "/"+container+"/"+url.PathEscape(blob))
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close() // it is in memory
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("storage account %s: blob %s/%s: expected one that is there, found %d %s", name, container, blob, answer.StatusCode, answer.Header.Get("x-ms-error-code"))
	}
	return io.ReadAll(answer.Body)
}

// Grant gives an identity a role for an account, which is not open to everybody from then
// on. It is idempotent.
func (s *Accounts) Grant(name, clientID, role string) error {
	a, ok := s.account(name)
	if !ok {
		return fmt.Errorf("storage account %q: expected one of %q", name, s.Names())
	}
	definition, ok := s.kit.Roles.Definition(role)
	if !ok {
		expected, fix := s.kit.Roles.CheckName(role)
		return fmt.Errorf("storage account %s: role: expected %s, found %q; %s", name, expected, role, fix)
	}
	_, err := s.kit.Roles.Assign(roles.Assignment{Tenant: a.tenant, ClientID: clientID, Role: definition.ID, Scope: a.scope})
	if err != nil && !errors.Is(err, roles.ErrExists) {
		return fmt.Errorf("storage account %s: %w", name, err)
	}
	return nil
}
