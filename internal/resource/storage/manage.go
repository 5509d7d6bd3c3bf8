package storage

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/wiemu/wiemu/internal/hostmux"
)

// What Resource Manager does with accounts.

// Account returns the tenant and the resource id of an account.
func (s *Accounts) Account(name string) (tenant, id string, ok bool) {
	a, ok := s.account(name)
	return a.tenant, a.scope, ok
}

// Remove takes an account away with what it holds.
func (s *Accounts) Remove(name string) {
	s.mu.Lock()
	delete(s.accounts, name)
	s.mu.Unlock()
	s.backend.Drop(name)
}

// Manage makes (PUT), looks for (HEAD) or deletes (DELETE) a container or a queue of an account,
// which is there, and returns what the service answers.
func (s *Accounts) Manage(method, account string, of Service, name string) (status int, code string, err error) {
	path := "/" + url.PathEscape(name)
	switch {
	case of == Blob:
		path += "?restype=container"
	case method == http.MethodHead:
		path += "?comp=metadata"
	}
	answer, err := s.asOwner(method, account, of, path)
	if err != nil {
		return 0, "", err
	}
	return answer.StatusCode, answer.Header.Get("x-ms-error-code"), answer.Body.Close()
}

// List returns the names of the containers or queues of an account, in order.
func (s *Accounts) List(account string, of Service) (names []string, err error) {
	for marker := ""; ; {
		answer, err := s.asOwner(http.MethodGet, account, of, "/?comp=list&marker="+url.QueryEscape(marker))
		if err != nil {
			return nil, err
		}
		var page struct {
			Containers []string `xml:"Containers>Container>Name"`
			Queues     []string `xml:"Queues>Queue>Name"`
			Next       string   `xml:"NextMarker"`
		}
		data, err := io.ReadAll(answer.Body)
		if err = errors.Join(err, answer.Body.Close()); err == nil {
			err = xml.Unmarshal([]byte(strings.TrimPrefix(string(data), "\ufeff")), &page)
		}
		if answer.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("storage account %s: list %s: %d %s", account, of, answer.StatusCode, data)
		}
		if err != nil {
			return nil, fmt.Errorf("storage account %s: list %s: %w", account, of, err)
		}
		names = append(append(names, page.Containers...), page.Queues...)
		if marker = page.Next; marker == "" {
			return names, nil
		}
	}
}

// asOwner has the backend answer what the owner of an account asks for.
func (s *Accounts) asOwner(method, account string, of Service, path string) (*http.Response, error) {
	if !s.Has(account) {
		return nil, fmt.Errorf("storage account %q: expected one of %q", account, s.Names())
	}
	r, err := http.NewRequest(method, "https://"+account+"."+string(of)+"."+s.kit.Cloud().Storage+path, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("storage account %s: %w", account, err)
	}
	r.Header.Set("x-ms-version", fillVersion)
	return s.serve(hostmux.Received(r), account, of), nil
}
