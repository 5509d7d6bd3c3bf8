package metadata

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/wiemu/wiemu/emulator/fault"
)

// read fetches the discovery document, if the place has one, and the key set.
func (s *Source) read(ctx context.Context, at place) (KeySet, error) {
	// Its age counts from before it was asked for, not from its arrival (RFC 9111
	// §4.2.3): the issuer may have changed its keys meanwhile.
	found := KeySet{Issuer: at.issuer, URL: at.jwks, FetchedAt: s.clock.Now()}
	by := s.access(at).Transport
	if at.issuer != "" {
		data, err := s.get(ctx, s.opts.Faults.Documents(fault.AtDiscovery, at.issuer, by), at.first())
		if err != nil {
			return KeySet{}, err
		}
		d, err := parseDocument(data, at.issuer)
		if err != nil {
			return KeySet{}, err
		}
		found.URL = d.JWKS
	}
	data, err := s.get(ctx, s.opts.Faults.Documents(fault.AtJWKS, at.issuer, by), found.URL)
	if err != nil {
		return KeySet{}, err
	}
	if found.keys, found.left, err = parseKeys(data); err != nil {
		return KeySet{}, err
	}
	return found, nil
}

// get reads one document: https, one answer of status 200, not too big, not too
// slow. It talks to the transport itself, so there are no redirects and no
// cookies.
func (s *Source) get(ctx context.Context, by http.RoundTripper, address string) ([]byte, error) {
	if by == nil {
		return nil, errors.New("there is no network to reach issuers by")
	}
	if !isHTTPS(address) {
		return nil, fmt.Errorf("%q is not an https address", address)
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout) // machine time: it bounds input and output
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	// An API server answers 406 to who does not take the second for its keys.
	request.Header.Set("Accept", "application/json, application/jwk-set+json")
	response, err := by.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", address, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		if to := response.Header.Get("Location"); to != "" {
			return nil, fmt.Errorf("GET %s: status %d to %s; redirects are not followed", address, response.StatusCode, to)
		}
		return nil, fmt.Errorf("GET %s: status %d, expected 200", address, response.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, s.opts.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("GET %s: read the answer: %w", address, err)
	}
	if int64(len(data)) > s.opts.MaxBytes {
		return nil, fmt.Errorf("GET %s: the answer is longer than %d bytes", address, s.opts.MaxBytes)
	}
	return data, nil
}
